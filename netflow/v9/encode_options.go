package v9

import (
	"encoding/binary"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/netflow/internal/layout"
	"github.com/caprock-net/caprock/netflow/internal/message"
)

// Ids of the options templates, between those of flows.
const (
	optionsTemplate = layout.FirstTemplate + uint16(layout.Both) + iota // sampling
	interfacesTemplate
	statisticsTemplate
)

// Scopes, RFC 3954 section 6.1.
const (
	scopeSystem    = 1
	scopeInterface = 2
)

// Bytes of strings, which have a fixed length here and are filled up with zeros.
const (
	nameLen        = 32
	descriptionLen = 64
)

// Options makes the datagrams that tell what o holds and this version has field types for: names of interfaces (82, 83), and
// what was exported (40, 41, 42). They belong between those with flows: there must be a flow at hand, whose time their clock
// is of. A name longer than 32 bytes, or a description longer than 64, is cut.
func (e *Encoder) Options(now netflow.Timestamp, o *netflow.Options) [][]byte {
	if e.builder.Len() == 0 {
		return nil
	}
	clock := e.clock // the datagram at hand will have this one's time
	sets := optionsSets(o)
	var datagrams [][]byte
	for len(sets) > 0 {
		msg := e.appendHeader(nil, &clock, now)
		var counts message.Counts
		if msg, sets, counts = message.V9.AppendOptions(msg, e.maxBytes, sets); counts.Options > 0 {
			datagrams = append(datagrams, e.complete(msg, 0, counts))
		}
	}
	return datagrams
}

func optionsSets(o *netflow.Options) []message.OptionsSet {
	var sets []message.OptionsSet
	if len(o.Interfaces) > 0 {
		s := message.V9.Options(interfacesTemplate, message.Specifiers{{scopeInterface, 4}, {82, nameLen}, {83, descriptionLen}})
		for _, i := range o.Interfaces {
			r := binary.BigEndian.AppendUint32(nil, i.Index)
			s.Records = append(s.Records, appendString(appendString(r, i.Name, nameLen), i.Description, descriptionLen))
		}
		sets = append(sets, s)
	}
	if x := o.Statistics; x != nil {
		s := message.V9.Options(statisticsTemplate, message.Specifiers{{scopeSystem, 4}, {41, 8}, {42, 8}, {40, 8}})
		r := make([]byte, 4, 28)
		for _, v := range []uint64{x.Messages, x.Flows, x.Bytes} {
			r = binary.BigEndian.AppendUint64(r, v)
		}
		s.Records = [][]byte{r}
		sets = append(sets, s)
	}
	return sets
}

// appendString appends a string in n bytes.
func appendString(dst []byte, s string, n int) []byte {
	s = message.Cut(s, n)
	return append(append(dst, s...), make([]byte, n-len(s))...)
}
