package decode

import (
	"net/netip"
	"time"

	"github.com/caprock-net/caprock/netflow"
)

// Counters counts what came from an exporter, or from all.
type Counters struct {
	Datagrams uint64
	Bytes     uint64 // UDP payload
	Flows     uint64 // records appended to batches
	Options   uint64 // records of options data
	Undated   uint64 // flows whose uptimes could not be placed in time: IPFIX without systemInitTimeMilliseconds

	TemplatesNew       uint64
	TemplatesRefreshed uint64 // announced again as they were
	TemplatesChanged   uint64 // announced with another layout
	Withdrawals        uint64 // template withdrawals, ignored over UDP

	SetsWithoutTemplate uint64 // data sets skipped because their template was not known (yet)

	// Sequence numbers. The unit of Lost is a flow (v5, v7), a datagram (v9) or a data record (IPFIX).
	Lost       uint64 // units that never came
	Gaps       uint64 // places where units were missing
	Reordered  uint64 // datagrams that came late; what they brought is not in Lost
	Duplicates uint64 // datagrams whose number was there before; their flows are decoded all the same
	Resets     uint64 // the exporter restarted, or its numbers leapt too far to be a loss

	Malformed [NumReasons]uint64 // by Reason
}

func (c *Counters) add(o *Counters) {
	c.Datagrams += o.Datagrams
	c.Bytes += o.Bytes
	c.Flows += o.Flows
	c.Options += o.Options
	c.Undated += o.Undated
	c.TemplatesNew += o.TemplatesNew
	c.TemplatesRefreshed += o.TemplatesRefreshed
	c.TemplatesChanged += o.TemplatesChanged
	c.Withdrawals += o.Withdrawals
	c.SetsWithoutTemplate += o.SetsWithoutTemplate
	c.Lost += o.Lost
	c.Gaps += o.Gaps
	c.Reordered += o.Reordered
	c.Duplicates += o.Duplicates
	c.Resets += o.Resets
	for i := range c.Malformed {
		c.Malformed[i] += o.Malformed[i]
	}
}

// ExporterStats is the account of one exporter address, domain and version.
type ExporterStats struct {
	Exporter netip.Addr
	Domain   uint32 // observation domain; v9: source id; v5: engine type<<8 | engine id
	Version  uint8  // 1, 5, 7, 9 or 10
	Counters

	FirstSeen, LastSeen netflow.Timestamp
	ClockOffset         time.Duration     // header time minus receive time of the last datagram
	SamplingRate        uint32            // the domain's; 0: not told, or several samplers
	Templates           int               // known at the moment
	WithoutTemplate     map[uint16]uint64 // SetsWithoutTemplate by set id; only the first 16 ids are told apart
}

// Stats is the state of a Decoder.
type Stats struct {
	Counters                      // sum over all exporters, forgotten ones and headerless datagrams included
	Exporters     []ExporterStats // most recently heard first
	Forgotten     uint64          // exporters (address, domain, version) forgotten because there were too many
	Templates     int             // kept at the moment
	TemplateBytes int             // estimate of their memory
	Evicted       uint64          // templates that had to go because a bound was reached
}
