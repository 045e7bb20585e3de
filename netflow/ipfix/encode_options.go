package ipfix

import (
	"encoding/binary"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/netflow/internal/layout"
	"github.com/caprock-net/caprock/netflow/internal/message"
)

// Ids of the options templates, between those of flows.
const (
	optionsTemplate = layout.FirstTemplate + uint16(2*layout.Both) + iota // sampling
	interfacesTemplate
	meteringTemplate
	reliabilityTemplate
	systemTemplate
)

// Bytes of strings, at most. Fewer than 255 have their length told in one byte (RFC 7011 section 7), and a record has to
// fit into MinBytes.
const (
	maxName        = 64
	maxDescription = 254
)

// samplingOptions tells of the observation domain (scope 149) samplingInterval (34) and samplingAlgorithm (35). RFC 5477 would
// rather have 304, 305 and 306. But goflow2 takes 305 alone for the rate, which makes it 1, and reads it before 34 also in a
// record of its own; nfcapd 1.7.1 multiplies by one too many when it finds 34 beside 304, and uses neither alone. 34 without
// the others misleads none.
func samplingOptions(cfg *EncoderConfig) (message.Template, []byte) {
	return message.IPFIX.Sampling(optionsTemplate, 149, cfg.Domain, cfg.Sampling, cfg.SamplingRandom)
}

// Options makes the messages that tell what o holds, beside and between those with flows. They count in the sequence, as RFC
// 7011 section 3.1 has it, which nfcapd 1.7.1 does not expect. templates says that the collector needs the templates too. A
// name longer than 64 bytes, or a description longer than 254, is cut.
func (e *Encoder) Options(now netflow.Timestamp, o *netflow.Options, templates bool) [][]byte {
	sets := e.optionsSets(o)
	if !templates {
		for i := range sets {
			sets[i].Record = nil
		}
	}
	var messages [][]byte
	for len(sets) > 0 {
		msg := e.appendHeader(nil, now)
		var counts message.Counts
		if msg, sets, counts = message.IPFIX.AppendOptions(msg, e.maxBytes, sets); counts.Options > 0 {
			messages = append(messages, e.complete(msg, 0, counts))
		}
	}
	return messages
}

func (e *Encoder) optionsSets(o *netflow.Options) []message.OptionsSet {
	var sets []message.OptionsSet
	if len(o.Interfaces) > 0 {
		s := message.IPFIX.Options(interfacesTemplate, message.Specifiers{{10, 4}, {82, netflow.VariableLength}, {83, netflow.VariableLength}})
		for _, i := range o.Interfaces {
			r := binary.BigEndian.AppendUint32(nil, i.Index)
			s.Records = append(s.Records, appendString(appendString(r, message.Cut(i.Name, maxName)), message.Cut(i.Description, maxDescription)))
		}
		sets = append(sets, s)
	}
	if x := o.Statistics; x != nil {
		// RFC 7011 section 4.1, and 164 of section 4.2: bytes that were not metered are not known.
		metering := message.IPFIX.Options(meteringTemplate, message.Specifiers{{149, 4}, {41, 8}, {42, 8}, {40, 8}, {164, 8}})
		metering.Records = [][]byte{appendUint64(binary.BigEndian.AppendUint32(nil, e.domain), x.Messages, x.Flows, x.Bytes, x.Ignored)}
		// Section 4.3. There is one exporting process: 1.
		reliability := message.IPFIX.Options(reliabilityTemplate, message.Specifiers{{144, 4}, {166, 8}, {167, 8}, {168, 8}, {323, 8}, {323, 8}})
		reliability.Records = [][]byte{appendUint64(binary.BigEndian.AppendUint32(nil, 1),
			x.NotSentFlows, x.NotSentPackets, x.NotSentBytes, milliseconds(x.FirstNotSent), milliseconds(x.LastNotSent))}
		sets = append(sets, metering, reliability)
	}
	if o.Boot > 0 {
		s := message.IPFIX.Options(systemTemplate, message.Specifiers{{144, 4}, {160, 8}})
		s.Records = [][]byte{appendUint64(binary.BigEndian.AppendUint32(nil, 1), milliseconds(o.Boot))}
		sets = append(sets, s)
	}
	return sets
}

func appendUint64(dst []byte, values ...uint64) []byte {
	for _, v := range values {
		dst = binary.BigEndian.AppendUint64(dst, v)
	}
	return dst
}

// appendString appends a string of variable length.
func appendString(dst []byte, s string) []byte { return append(append(dst, byte(len(s))), s...) }
