package probe_test

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/caprock-net/caprock/probe"
	"github.com/caprock-net/caprock/probe/capture"
	"github.com/caprock-net/caprock/probe/capture/capturetest"
)

// tapped is what arrives at the other end of a tap.
type tapped struct {
	live   *capture.Live
	frames [][]byte
	done   chan error
}

func listen(t *testing.T, name string) *tapped {
	t.Helper()
	l, err := capture.OpenLive(capture.LiveConfig{Interface: name, SnapLen: capture.MaxSnapLen})
	if err != nil {
		t.Fatal(err)
	}
	c := &tapped{live: l, done: make(chan error, 1)}
	go func() {
		var f capture.Frame
		for {
			switch err := l.Next(&f); err {
			case nil:
				c.frames = append(c.frames, bytes.Clone(f.Data))
			case capture.ErrIdle:
			case io.EOF:
				c.done <- nil
				return
			default:
				c.done <- err
				return
			}
		}
	}()
	return c
}

// stop returns the frames and what was lost behind the wire.
func (c *tapped) stop(t *testing.T) ([][]byte, uint64) {
	t.Helper()
	time.Sleep(50 * time.Millisecond)
	c.live.Stop()
	if err := <-c.done; err != nil {
		t.Fatal(err)
	}
	s := c.live.Stats()
	c.live.Close()
	return c.frames, s.Dropped
}

func tapConfig(tap string, metered ...string) probe.Config {
	cfg := probe.DefaultConfig()
	cfg.Interfaces, cfg.Tap = metered, tap
	cfg.RingSize = 8 << 20
	cfg.Cache.MaxFlows = 1000
	return cfg
}

// TestTap: every frame arrives on the other side as it was, whatever is metered of it, and what is not sent is counted.
func TestTap(t *testing.T) {
	if !capturetest.Alone(t) {
		return
	}
	capturetest.Veth(t, "in0", "sender")
	capturetest.Veth(t, "out0", "receiver")
	for _, name := range []string{"in0", "sender"} {
		capturetest.IP(t, "link", "set", name, "mtu", "9000")
	}
	receiver := listen(t, "receiver")
	p, stop := start(t, tapConfig("out0", "in0"))

	const long = 1600 // longer than the MTU of out0, tag included
	var sent, want [][]byte
	for i := range 5000 {
		frame := frameOf(byte(i%7), uint32(i), 60+i%1455)
		switch i % 500 {
		case 1:
			frame = frameOf(9, uint32(i), 200, 0x8100, 5)
		case 2:
			frame = frameOf(9, uint32(i), 200, 0x88a8, 5, 0x8100, 0x6007)
		case 3:
			frame = append(bytes.Repeat([]byte{0xff}, 12), 0x08, 0x06, 1, 2, 3) // not IP
		case 4:
			frame = append(bytes.Repeat([]byte{0xff}, 12), 0x08, 0x00, 1, 2, 3) // malformed
		case 5:
			frame = frameOf(9, uint32(i), long)
		}
		sent = append(sent, frame)
		if len(frame) < long {
			want = append(want, frame)
		}
	}
	for len(sent) > 0 { // in portions that the kernel's backlog holds
		n := min(len(sent), 100)
		capturetest.Send(t, "sender", sent[:n]...)
		sent = sent[n:]
		time.Sleep(time.Millisecond)
	}
	eventually(t, "everything is read", func() bool { return summaryOf(t, p).Packets.Read == 5000 })
	got, dropped := receiver.stop(t)
	s := summaryOf(t, p)
	if dropped != 0 || s.Tap.Sent != uint64(len(want)) || s.Tap.TooLong != 10 || s.Tap.Packets() != 5000 || s.Packets.Dropped != 0 {
		t.Errorf("%+v, of %+v; %d dropped at the other end", s.Tap, s.Packets, dropped)
	}
	if len(got) != len(want) {
		t.Fatalf("%d frames arrive, want %d", len(got), len(want))
	}
	for i := range got {
		if !bytes.Equal(got[i], want[i]) {
			t.Fatalf("frame %d:\ngot  % x\nwant % x", i, got[i], want[i])
		}
	}
	if s.Packets.NonIP != 10 || s.Packets.Malformed != 10 || s.Packets.Metered != 4980 {
		t.Errorf("%+v", s.Packets)
	}

	// A single frame does not wait for others.
	receiver = listen(t, "receiver")
	capturetest.Send(t, "sender", frameOf(1, 1, 100))
	eventually(t, "it is sent", func() bool { return summaryOf(t, p).Tap.Sent == uint64(len(want))+1 })
	if got, _ := receiver.stop(t); len(got) != 1 {
		t.Errorf("%d frames arrive, want 1", len(got))
	}

	// Down, removed, and there again.
	capturetest.IP(t, "link", "set", "out0", "down")
	capturetest.Send(t, "sender", frameOf(1, 1, 100))
	eventually(t, "down is counted", func() bool { return summaryOf(t, p).Tap.Down == 1 })
	capturetest.IP(t, "link", "del", "out0")
	capturetest.Send(t, "sender", frameOf(1, 1, 100))
	eventually(t, "gone is counted", func() bool { return summaryOf(t, p).Tap.Down == 2 })
	time.Sleep(1100 * time.Millisecond)
	capturetest.Veth(t, "out0", "receiver")
	capturetest.Send(t, "sender", frameOf(1, 1, 100))
	eventually(t, "it is sent again", func() bool { return summaryOf(t, p).Tap.Sent == uint64(len(want))+2 })
	stop()
	if s := summaryOf(t, p); s.Tap.Packets() != 5004 || s.Tap.Refused != 0 {
		t.Errorf("%+v", s.Tap)
	}
}

// TestTapFull: what the interface does not take is dropped and counted, and metering goes on.
func TestTapFull(t *testing.T) {
	if !capturetest.Alone(t) {
		return
	}
	capturetest.Veth(t, "in0", "sender")
	capturetest.Veth(t, "out0", "receiver")
	capturetest.IP(t, "link", "set", "receiver", "down") // out0 has no carrier
	p, stop := start(t, tapConfig("out0", "in0"))
	var sent [][]byte
	for i := range 1000 {
		sent = append(sent, frameOf(1, uint32(i), 100))
	}
	capturetest.Send(t, "sender", sent...)
	eventually(t, "everything is read", func() bool { return summaryOf(t, p).Packets.Read == 1000 })
	stop()
	if s := summaryOf(t, p); s.Tap.Full != 1000 || s.Tap.Sent != 0 || s.Packets.Metered != 1000 {
		t.Errorf("%+v %+v", s.Tap, s.Packets)
	}
}

// TestTapPattern: interfaces that come later are sent on too, by one tap.
func TestTapPattern(t *testing.T) {
	if !capturetest.Alone(t) {
		return
	}
	capturetest.Veth(t, "out0", "receiver")
	receiver := listen(t, "receiver")
	p, stop := start(t, tapConfig("out0", "in*"))
	for n, name := range []string{"in0", "in1"} {
		capturetest.Veth(t, name, "sender"+name)
		eventually(t, name+" is metered", func() bool { return source(summaryOf(t, p), name).Name != "" })
		capturetest.Send(t, "sender"+name, frameOf(byte(n), 0, 100))
	}
	eventually(t, "both are sent", func() bool { return summaryOf(t, p).Tap.Sent == 2 })
	stop()
	summaryOf(t, p)
	if got, _ := receiver.stop(t); len(got) != 2 {
		t.Errorf("%d frames arrive, want 2", len(got))
	}
}

// TestTapRefused: nothing that would be sent around in a circle.
func TestTapRefused(t *testing.T) {
	if !capturetest.Alone(t) {
		return
	}
	capturetest.Veth(t, "in0", "in1")
	for _, test := range []struct {
		tap, metered, want string
	}{
		{"in0", "in0", "it is metered"},
		{"in0", "in*", "it is metered"},
		{"in0", "any", "any is metered"},
		{"in0", "in1", "comes by at in1"},
		{"nowhere0", "in0", "no such network interface"},
	} {
		p, err := probe.New(tapConfig(test.tap, test.metered))
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("tap %s of %s: error %v, want one about %q", test.tap, test.metered, err, test.want)
		}
		if p != nil {
			t.Error("a probe")
		}
	}
	cfg := filesConfig("trace.pcap")
	cfg.Tap = "in0"
	if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), "tcpreplay") {
		t.Errorf("a file: %v", err)
	}
}
