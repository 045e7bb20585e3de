package v5

import (
	"errors"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/netflow/internal/plan"
	"github.com/caprock-net/caprock/netflow/internal/wire"
)

// Lengths in bytes.
const (
	HeaderLen   = 24 // of versions 5 and 7
	HeaderLenV1 = 16
	RecordLen   = 48 // of versions 1 and 5
	RecordLenV7 = 52
)

// Errors of ParseHeader.
var (
	ErrShort   = errors.New("v5: datagram shorter than its header")
	ErrVersion = errors.New("v5: datagram of another version")
)

// Header is the header of a datagram of version 1, 5 or 7.
type Header struct {
	Version     uint16
	Count       uint16 // records in the datagram
	Uptime      uint32 // milliseconds since the exporter booted; wraps after 49.7 days
	Seconds     uint32 // unix time of the export
	Nanoseconds uint32 // and its fraction
	Sequence    uint32 // flows that the exporter's engine sent before; version 1: 0
	EngineType  uint8  // version 5
	EngineID    uint8  // version 5
	Sampling    uint16 // version 5: mode in the upper 2 bits, interval in the lower 14
}

// ParseHeader reads the header of a datagram.
func ParseHeader(msg []byte) (Header, error) {
	c := wire.New(msg)
	h := Header{Version: c.Uint16(), Count: c.Uint16(), Uptime: c.Uint32(), Seconds: c.Uint32(), Nanoseconds: c.Uint32()}
	switch h.Version {
	case netflow.VersionV1:
	case netflow.VersionV5:
		h.Sequence, h.EngineType, h.EngineID, h.Sampling = c.Uint32(), c.Uint8(), c.Uint8(), c.Uint16()
	case netflow.VersionV7:
		h.Sequence = c.Uint32()
		c.Take(4) // reserved
	default:
		if c.Err() == nil {
			return Header{}, ErrVersion
		}
	}
	if c.Err() != nil {
		return Header{}, ErrShort
	}
	return h, nil
}

// Engine returns what column Domain holds: the engine's type in the upper 8 of 16 bits, its id in the lower.
func (h Header) Engine() uint32 { return uint32(h.EngineType)<<8 | uint32(h.EngineID) }

// Time returns the wall-clock time of the header. Of impossible nanoseconds the excess is dropped.
func (h Header) Time() netflow.Timestamp {
	return netflow.Timestamp(h.Seconds)*1e6 + netflow.Timestamp(min(h.Nanoseconds, 999_999_999)/1000)
}

// SamplingRate returns one packet in how many was metered, 0 when the header does not tell. The mode is not looked at:
// exporters leave it zero and fill in the interval.
func (h Header) SamplingRate() uint32 { return uint32(h.Sampling & 0x3fff) }

// Records returns how many whole records the datagram holds, whatever its header says.
func (h Header) Records(msg []byte) int {
	header, record := HeaderLen, RecordLen
	switch h.Version {
	case netflow.VersionV1:
		header = HeaderLenV1
	case netflow.VersionV7:
		record = RecordLenV7
	}
	return max(len(msg)-header, 0) / record
}

const (
	padding = 210 // paddingOctets
	private = 1   // an enterprise whose elements nobody reads
)

// The record layouts, in terms of the elements of IPFIX.
var (
	planV1 = plan.Compile([]plan.Field{
		{ID: 8, Length: 4}, {ID: 12, Length: 4}, {ID: 15, Length: 4}, {ID: 10, Length: 2}, {ID: 14, Length: 2},
		{ID: 2, Length: 4}, {ID: 1, Length: 4}, {ID: 22, Length: 4}, {ID: 21, Length: 4}, {ID: 7, Length: 2}, {ID: 11, Length: 2},
		{ID: padding, Length: 2}, {ID: 4, Length: 1}, {ID: 5, Length: 1}, {ID: 6, Length: 1}, {ID: padding, Length: 7},
	})
	planV5 = plan.Compile([]plan.Field{
		{ID: 8, Length: 4}, {ID: 12, Length: 4}, {ID: 15, Length: 4}, {ID: 10, Length: 2}, {ID: 14, Length: 2},
		{ID: 2, Length: 4}, {ID: 1, Length: 4}, {ID: 22, Length: 4}, {ID: 21, Length: 4}, {ID: 7, Length: 2}, {ID: 11, Length: 2},
		{ID: padding, Length: 1}, {ID: 6, Length: 1}, {ID: 4, Length: 1}, {ID: 5, Length: 1},
		{ID: 16, Length: 2}, {ID: 17, Length: 2}, {ID: 9, Length: 1}, {ID: 13, Length: 1}, {ID: padding, Length: 2},
	})
	planV7 = plan.Compile([]plan.Field{
		{ID: 8, Length: 4}, {ID: 12, Length: 4}, {ID: 15, Length: 4}, {ID: 10, Length: 2}, {ID: 14, Length: 2},
		{ID: 2, Length: 4}, {ID: 1, Length: 4}, {ID: 22, Length: 4}, {ID: 21, Length: 4}, {ID: 7, Length: 2}, {ID: 11, Length: 2},
		{ID: padding, Length: 1}, {ID: 6, Length: 1}, {ID: 4, Length: 1}, {ID: 5, Length: 1},
		{ID: 16, Length: 2}, {ID: 17, Length: 2}, {ID: 9, Length: 1}, {ID: 13, Length: 1}, {ID: padding, Length: 2},
		{ID: 1, PEN: private, Length: 4}, // address of the bypassed router
	})
)

// Decode appends the flows of a datagram to dst: as many as its header counts, as are in it, and as dst has room for,
// whichever is least. It returns how many that was and how many the header counted. Domain, ExportVersion and the header's
// sampling rate are filled in; Exporter and Received are the caller's. An error means that the header is unusable and
// nothing was done.
func Decode(dst *netflow.Batch, msg []byte) (rows, counted int, err error) {
	h, err := ParseHeader(msg)
	if err != nil {
		return 0, 0, err
	}
	p, header := planV5, HeaderLen
	switch h.Version {
	case netflow.VersionV1:
		p, header = planV1, HeaderLenV1
	case netflow.VersionV7:
		p = planV7
	}
	n := min(int(h.Count), h.Records(msg))
	ctx := plan.Context{Export: h.Time(), Uptime: h.Uptime, HasUptime: true, Rate: h.SamplingRate()}
	from := dst.Len()
	rows = p.DecodeFlows(dst, msg[header:header+n*p.Length()], &ctx).Rows
	fill(dst, from, h)
	return rows, int(h.Count), nil
}

func fill(dst *netflow.Batch, from int, h Header) {
	if dst.Len() == from {
		return
	}
	dst.Extend(0, netflow.SetOf(netflow.ExportVersion))
	plan.Fill(dst.ExportVersion[from:dst.Len()], uint8(h.Version))
	engine := h.Engine()
	if engine == 0 {
		return
	}
	dst.Extend(0, netflow.SetOf(netflow.Domain))
	plan.Fill(dst.Domain[from:dst.Len()], engine)
}
