// Package netflowtest is for the tests of other packages. It builds NetFlow v9 and IPFIX messages, malformed ones included:
// what a builder is told it writes, without asking whether it makes sense. And it has what the tests of packages v9 and ipfix
// have in common: flows to encode, and a Decoder's tests.
package netflowtest

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/netflow/template"
)

// Field is a field specifier of the element id of IANA's registry, or of a field type of NetFlow v9.
func Field(id, length uint16) template.Field { return template.Field{ID: id, Length: length} }

// Variable is the field specifier of an element of variable length.
func Variable(id uint16) template.Field {
	return template.Field{ID: id, Length: netflow.VariableLength}
}

// Reverse is the field specifier of the reverse of an element, RFC 5103.
func Reverse(id, length uint16) template.Field {
	return template.Field{ID: id, Length: length, PEN: netflow.PENReverse}
}

// Enterprise is the field specifier of a private element.
func Enterprise(pen uint32, id, length uint16) template.Field {
	return template.Field{ID: id, Length: length, PEN: pen}
}

// Message is a message in the making. Its methods append to it and return it, so that calls chain.
type Message struct {
	version uint16
	b       []byte
	records uint16
}

// V9 begins a datagram of NetFlow v9: unix seconds and uptime in milliseconds of the export, sequence number, source id.
func V9(seconds, uptime, sequence, source uint32) *Message {
	b := []byte{0, netflow.VersionV9, 0, 0}
	for _, v := range []uint32{uptime, seconds, sequence, source} {
		b = binary.BigEndian.AppendUint32(b, v)
	}
	return &Message{version: netflow.VersionV9, b: b}
}

// IPFIX begins an IPFIX message: unix seconds of the export, sequence number, observation domain.
func IPFIX(seconds, sequence, domain uint32) *Message {
	b := []byte{0, netflow.VersionIPFIX, 0, 0}
	for _, v := range []uint32{seconds, sequence, domain} {
		b = binary.BigEndian.AppendUint32(b, v)
	}
	return &Message{version: netflow.VersionIPFIX, b: b}
}

// Set appends a set with the given body, and in v9 the padding to a multiple of 4 bytes.
func (m *Message) Set(id uint16, body []byte) *Message {
	pad := 0
	if m.version == netflow.VersionV9 {
		pad = -len(body) & 3
	}
	m.b = binary.BigEndian.AppendUint16(m.b, id)
	m.b = binary.BigEndian.AppendUint16(m.b, uint16(4+len(body)+pad))
	m.b = append(m.b, body...)
	m.b = append(m.b, make([]byte, pad)...)
	return m
}

// Raw appends bytes as they are.
func (m *Message) Raw(b ...byte) *Message {
	m.b = append(m.b, b...)
	return m
}

// Template appends a set that announces one template.
func (m *Message) Template(id uint16, fields ...template.Field) *Message {
	body := binary.BigEndian.AppendUint16(nil, id)
	body = binary.BigEndian.AppendUint16(body, uint16(len(fields)))
	m.records++
	if m.version == netflow.VersionV9 {
		return m.Set(0, m.fields(body, fields))
	}
	return m.Set(2, m.fields(body, fields))
}

// Options appends a set that announces one options template, of whose fields the first are scopes.
func (m *Message) Options(id uint16, scopes int, fields ...template.Field) *Message {
	body := binary.BigEndian.AppendUint16(nil, id)
	m.records++
	if m.version == netflow.VersionV9 {
		body = binary.BigEndian.AppendUint16(body, uint16(4*scopes))
		body = binary.BigEndian.AppendUint16(body, uint16(4*(len(fields)-scopes)))
		return m.Set(1, m.fields(body, fields))
	}
	body = binary.BigEndian.AppendUint16(body, uint16(len(fields)))
	body = binary.BigEndian.AppendUint16(body, uint16(scopes))
	return m.Set(3, m.fields(body, fields))
}

func (m *Message) fields(body []byte, fields []template.Field) []byte {
	for _, f := range fields {
		id := f.ID
		if f.PEN != 0 {
			id |= 0x8000
		}
		body = binary.BigEndian.AppendUint16(body, id)
		body = binary.BigEndian.AppendUint16(body, f.Length)
		if f.PEN != 0 {
			body = binary.BigEndian.AppendUint32(body, f.PEN)
		}
	}
	return body
}

// Data appends a data set of the records.
func (m *Message) Data(id uint16, records ...[]byte) *Message {
	var body []byte
	for _, r := range records {
		body = append(body, r...)
	}
	m.records += uint16(len(records))
	return m.Set(id, body)
}

// Bytes returns the message with its header complete: the length of an IPFIX message, the number of records of v9.
func (m *Message) Bytes() []byte {
	n := m.records
	if m.version == netflow.VersionIPFIX {
		n = uint16(len(m.b))
	}
	binary.BigEndian.PutUint16(m.b[2:], n)
	return m.b
}

// Record encodes values one after another: unsigned integers and timestamps by their size, addresses (as text, netip.Addr
// or netflow.Addr, IPv4 in 4 bytes), MACs, and bytes as they are.
func Record(values ...any) []byte {
	var b []byte
	for _, v := range values {
		switch v := v.(type) {
		case uint8:
			b = append(b, v)
		case uint16:
			b = binary.BigEndian.AppendUint16(b, v)
		case uint32:
			b = binary.BigEndian.AppendUint32(b, v)
		case uint64:
			b = binary.BigEndian.AppendUint64(b, v)
		case string:
			b = append(b, netip.MustParseAddr(v).AsSlice()...)
		case netip.Addr:
			b = append(b, v.AsSlice()...)
		case netflow.Addr:
			b = append(b, v.Netip().AsSlice()...)
		case netflow.MAC:
			b = append(b, v[:]...)
		case []byte:
			b = append(b, v...)
		default:
			panic(fmt.Sprintf("netflowtest: no encoding for %T", v))
		}
	}
	return b
}

// Var prefixes a value with its length as RFC 7011 section 7 says, in one byte, or three from 255 bytes on.
func Var(value []byte) []byte {
	if len(value) < 255 {
		return append([]byte{byte(len(value))}, value...)
	}
	return append([]byte{255, byte(len(value) >> 8), byte(len(value))}, value...)
}

// VarLong is Var with the length in three bytes always.
func VarLong(value []byte) []byte {
	return append([]byte{255, byte(len(value) >> 8), byte(len(value))}, value...)
}
