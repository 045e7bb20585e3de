package probe

import (
	"errors"
	"fmt"
	"slices"

	"github.com/caprock-net/caprock/probe/capture"
)

// TapSummary is what became of the packets read on the way to the interface of Config.Tap.
type TapSummary struct {
	Interface string `json:"interface"`
	Sent      uint64 `json:"sent"`       // packets
	SentBytes uint64 `json:"sent_bytes"` // of them, link headers included
	Full      uint64 `json:"queue_full"` // packets not sent: its queue was full, or the cable not plugged in
	TooLong   uint64 `json:"too_long"`   // likewise: longer than its MTU
	Down      uint64 `json:"down"`       // likewise: it was down, or removed
	Cut       uint64 `json:"cut"`        // likewise: not captured whole
	OtherLink uint64 `json:"other_link"` // likewise: of another link type
	Refused   uint64 `json:"refused"`    // likewise: for another reason
}

func tapSummary(name string, c capture.TapCounts) *TapSummary {
	return &TapSummary{
		Interface: name, Sent: c.Sent, SentBytes: c.SentBytes, Full: c.Full, TooLong: c.TooLong, Down: c.Down, Cut: c.Cut,
		OtherLink: c.OtherLink, Refused: c.Refused,
	}
}

func (s *TapSummary) text(t *text) {
	if s == nil {
		return
	}
	t.part("tap " + s.Interface)
	t.line(s.Sent, "packets sent", fmt.Sprintf("%d bytes", s.SentBytes))
	t.some(s.Full, "not sent", "the queue was full, or the cable not plugged in")
	t.some(s.TooLong, "not sent", "longer than the MTU")
	t.some(s.Down, "not sent", "the interface was down or removed")
	t.some(s.Cut, "not sent", "not captured whole")
	t.some(s.OtherLink, "not sent", "of another link type")
	t.some(s.Refused, "not sent", "refused by the system")
}

// Packets adds up.
func (s *TapSummary) Packets() uint64 {
	return s.Sent + s.Full + s.TooLong + s.Down + s.Cut + s.OtherLink + s.Refused
}

// validateTap reports what is wrong with Config.Tap as far as that can be told without the system.
func (c *Config) validateTap() error {
	switch {
	case c.Tap == "":
		return nil
	case len(c.Files) > 0:
		return errors.New("tap: it sends what interfaces see; for files there is tcpreplay")
	case slices.Contains(c.Interfaces, c.Tap), c.matches(c.Tap) != "":
		return fmt.Errorf("tap %s: it is metered, and what is sent there would be sent again", c.Tap)
	case slices.Contains(c.Interfaces, "any"):
		return fmt.Errorf("tap %s: any is metered, and what is sent would be sent again", c.Tap)
	}
	return nil
}

func (p *Probe) openTap() error {
	if p.cfg.Tap == "" {
		return nil
	}
	var err error
	p.tap, err = capture.OpenTap(p.cfg.Tap)
	return err
}

// checkTap says why the packets of an interface cannot be sent on.
func (p *Probe) checkTap(name string) error {
	if p.tap == nil {
		return nil
	}
	return p.tap.Check(name)
}

// send hands a frame to the tap. It returns true when commit is due: no more frames are at hand to be sent together.
func (m *meter) send(s *sourceState, f *capture.Frame) (due bool) {
	due = m.tap.Add(f)
	l, ok := s.source.(*capture.Live)
	return due || ok && !l.More()
}

// sendNow sends what the tap has. The counts become the meter's with the frames'.
func (m *meter) sendNow() {
	if m.tap != nil {
		m.tap.Flush()
	}
}
