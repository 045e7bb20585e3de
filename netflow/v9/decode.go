package v9

import (
	"errors"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/netflow/internal/message"
	"github.com/caprock-net/caprock/netflow/internal/wire"
	"github.com/caprock-net/caprock/netflow/template"
)

// HeaderLen is the length of a header in bytes.
const HeaderLen = 20

// Errors of ParseHeader.
var (
	ErrShort   = errors.New("v9: datagram shorter than its header")
	ErrVersion = errors.New("v9: datagram of another version")
)

// Header is the header of a datagram, RFC 3954 section 5.1.
type Header struct {
	Count    uint16 // records in the datagram, as the exporter counts; not trusted
	Uptime   uint32 // milliseconds since the exporter booted; wraps after 49.7 days
	Seconds  uint32 // unix time of the export
	Sequence uint32 // datagrams that the exporter sent for this source id
	SourceID uint32
}

// ParseHeader reads the header of a datagram.
func ParseHeader(msg []byte) (Header, error) {
	c := wire.New(msg)
	version := c.Uint16()
	h := Header{Count: c.Uint16(), Uptime: c.Uint32(), Seconds: c.Uint32(), Sequence: c.Uint32(), SourceID: c.Uint32()}
	switch {
	case c.Err() != nil:
		return Header{}, ErrShort
	case version != netflow.VersionV9:
		return Header{}, ErrVersion
	}
	return h, nil
}

// MaxRows returns how many rows Decode would append to a batch with enough room, or more, at little cost.
func MaxRows(d *template.Domain, msg []byte) int {
	if len(msg) < HeaderLen {
		return 0
	}
	return message.MaxRows(d, msg[HeaderLen:])
}

// Decode appends the flows of a datagram to dst, except what it has no room for, and keeps in d what the datagram
// announces. What it meets is added to rep. Start and End are filled in as told, Domain and ExportVersion always; Exporter
// and Received are the caller's. An error means that the header is unusable and nothing was done; a datagram that turns
// out to be malformed later on is not an error but a problem in rep, and what came before is kept.
func Decode(dst *netflow.Batch, d *template.Domain, msg []byte, rep *template.Report) error {
	h, err := ParseHeader(msg)
	if err != nil {
		return err
	}
	from := dst.Len()
	m := template.Message{Export: netflow.Timestamp(h.Seconds) * 1e6, Uptime: h.Uptime, HasUptime: true}
	noteTail(message.V9.DecodeSets(dst, d, msg[HeaderLen:], len(msg)-HeaderLen, &m, rep), rep)
	message.Fill(dst, from, h.SourceID, netflow.VersionV9)
	return nil
}

// noteTail judges bytes that are not a FlowSet. Some devices send datagrams of a fixed size, the rest of it zero: that
// is harmless.
func noteTail(rest []byte, rep *template.Report) {
	for _, b := range rest {
		if b != 0 {
			rep.Note(template.BadSetLength)
			return
		}
	}
}
