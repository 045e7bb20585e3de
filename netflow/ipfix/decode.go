package ipfix

import (
	"errors"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/netflow/internal/message"
	"github.com/caprock-net/caprock/netflow/internal/wire"
	"github.com/caprock-net/caprock/netflow/template"
)

// HeaderLen is the length of a message header in bytes.
const HeaderLen = 16

// Errors of ParseHeader.
var (
	ErrShort   = errors.New("ipfix: message shorter than its header")
	ErrVersion = errors.New("ipfix: message of another version")
)

// Header is a message header, RFC 7011 section 3.1.
type Header struct {
	Length   uint16 // of the message in bytes, header included
	Seconds  uint32 // unix time of the export
	Sequence uint32 // data records, options included, that the exporter sent before this message in this domain
	Domain   uint32 // observation domain id
}

// ParseHeader reads a message header.
func ParseHeader(msg []byte) (Header, error) {
	c := wire.New(msg)
	version := c.Uint16()
	h := Header{Length: c.Uint16(), Seconds: c.Uint32(), Sequence: c.Uint32(), Domain: c.Uint32()}
	switch {
	case c.Err() != nil:
		return Header{}, ErrShort
	case version != netflow.VersionIPFIX:
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

// Decode appends the flows of a message to dst, except what it has no room for, and keeps in d what the message announces.
// What it meets is added to rep. Start and End are filled in as told, Domain and ExportVersion always; Exporter and
// Received are the caller's. An error means that the header is unusable and nothing was done; a message that turns out to
// be malformed later on is not an error but a problem in rep, and what came before is kept.
//
// A message longer than the datagram that carries it has lost its end or lies: nothing of it is used. Bytes of the
// datagram behind the message are not used either, except by a set that begins inside and is whole in the datagram: there
// are exporters that compute the message length wrong.
func Decode(dst *netflow.Batch, d *template.Domain, msg []byte, rep *template.Report) error {
	h, err := ParseHeader(msg)
	if err != nil {
		return err
	}
	end := int(h.Length)
	if end != len(msg) {
		rep.Note(template.BadMessageLength)
		if end > len(msg) || end < HeaderLen {
			return nil
		}
	}
	from := dst.Len()
	m := template.Message{Export: netflow.Timestamp(h.Seconds) * 1e6}
	if tail := message.IPFIX.DecodeSets(dst, d, msg[HeaderLen:], end-HeaderLen, &m, rep); len(tail) > 0 {
		rep.Note(template.BadSetLength)
	}
	message.Fill(dst, from, h.Domain, netflow.VersionIPFIX)
	return nil
}
