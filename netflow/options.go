package netflow

// Options is what an exporter tells collectors about itself beside the flows, in options data of NetFlow v9 and IPFIX. What
// is zero is not told.
type Options struct {
	Interfaces []Interface
	Statistics *ExporterStatistics
	Boot       Timestamp // systemInitTimeMilliseconds (160): when the system that the exporter runs on was started
}

// Interface is one of the interfaces whose numbers stand in Record.Input and Record.Output.
type Interface struct {
	Index       uint32 // ingressInterface (10)
	Name        string // interfaceName (82)
	Description string // interfaceDescription (83)
}

// ExporterStatistics counts since the exporter began, to one collector (RFC 7011 sections 4.1 to 4.3).
type ExporterStatistics struct {
	Messages uint64 // exportedMessageTotalCount (41)
	Bytes    uint64 // exportedOctetTotalCount (40), of messages
	Flows    uint64 // exportedFlowRecordTotalCount (42)

	Ignored uint64 // ignoredPacketTotalCount (164): packets that were seen and not metered

	NotSentFlows   uint64    // notSentFlowTotalCount (166)
	NotSentPackets uint64    // notSentPacketTotalCount (167)
	NotSentBytes   uint64    // notSentOctetTotalCount (168)
	FirstNotSent   Timestamp // observationTimeMilliseconds (323): when a flow was first not sent
	LastNotSent    Timestamp // and last
}
