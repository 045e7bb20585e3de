package netflow

import "math/bits"

// Batch is many flows as columns: what decoders append to, what the store writes, what queries scan and what a pipe
// carries. Row i of the batch is element i of every column. Its capacity is fixed when it is made, and it is meant to be
// reused: nothing is allocated after NewBatch.
//
// Two invariants make absent fields free. Rows at and beyond Len are zero in every column, and a column that is not in
// Present is zero in every row; so whoever adds rows writes only the columns it has values for, and whoever reads may
// skip a column that is not in Present. A Batch must not be used from two goroutines at once.
type Batch struct {
	// The columns, each of length Cap. Write rows only below Len, and only in columns declared to Extend.
	Start, End, Received                               []Timestamp
	SrcAddr, DstAddr, NextHop, Exporter                []Addr
	TunnelSrcAddr, TunnelDstAddr                       []Addr
	Packets, Bytes, ReversePackets, ReverseBytes       []uint64
	Domain, Input, Output, SrcAS, DstAS, SamplingRate  []uint32
	MinLength, MaxLength, MPLSLabel, TunnelID          []uint32
	TCPRTT, TCPRetransmits, ReverseTCPRetransmits      []uint32
	SrcPort, DstPort, TCPFlags, ReverseTCPFlags, VLAN  []uint16
	CustomerVLAN                                       []uint16
	SrcMAC, DstMAC                                     []MAC
	IPVersion, Proto, TOS, SrcMask, DstMask, Direction []uint8
	EndReason, ICMPType, ICMPCode, ForwardingStatus    []uint8
	ExportVersion, MinTTL, MaxTTL, FragmentFlags       []uint8
	TunnelProto, TunnelType                            []uint8

	n       int
	present ColumnSet
}

// NewBatch makes an empty batch with room for capacity rows, 244 bytes each.
func NewBatch(capacity int) *Batch {
	b := &Batch{}
	for _, c := range Columns() {
		switch c.Kind() {
		case KindTime:
			*b.times(c) = make([]Timestamp, capacity)
		case KindAddr:
			*b.addrs(c) = make([]Addr, capacity)
		case KindMAC:
			*b.macs(c) = make([]MAC, capacity)
		case KindUint8:
			*b.uint8s(c) = make([]uint8, capacity)
		case KindUint16:
			*b.uint16s(c) = make([]uint16, capacity)
		case KindUint32:
			*b.uint32s(c) = make([]uint32, capacity)
		case KindUint64:
			*b.uint64s(c) = make([]uint64, capacity)
		}
	}
	return b
}

// Len returns the number of rows.
func (b *Batch) Len() int { return b.n }

// Cap returns the number of rows that the batch can hold.
func (b *Batch) Cap() int { return len(b.Start) }

// Room returns how many more rows fit.
func (b *Batch) Room() int { return b.Cap() - b.n }

// Present returns the columns that may hold something other than zero.
func (b *Batch) Present() ColumnSet { return b.present }

// Extend adds n rows of zeros and declares that the caller is going to write the given columns in them. It returns the
// first new row. It panics when there is no room: ask Room first.
func (b *Batch) Extend(n int, columns ColumnSet) int {
	if n < 0 || n > b.Room() {
		panic("netflow: batch extended beyond its capacity")
	}
	from := b.n
	b.n += n
	b.present |= columns
	return from
}

// Truncate drops the rows from n on, as when a datagram turns out to be malformed half-way. It does nothing when there
// are no more than n rows.
func (b *Batch) Truncate(n int) {
	if n >= b.n {
		return
	}
	for s := b.present; s != 0; s &= s - 1 {
		b.clear(Column(bits.TrailingZeros64(uint64(s))), n, b.n)
	}
	b.n = n
	if n == 0 {
		b.present = 0
	}
}

// Reset drops all rows.
func (b *Batch) Reset() { b.Truncate(0) }

// Append adds one row. It panics when there is no room.
func (b *Batch) Append(r *Record) {
	i := b.Extend(1, AllColumns)
	b.Start[i], b.End[i], b.Received[i] = r.Start, r.End, r.Received
	b.SrcAddr[i], b.DstAddr[i], b.NextHop[i], b.Exporter[i] = r.SrcAddr, r.DstAddr, r.NextHop, r.Exporter
	b.Packets[i], b.Bytes[i] = r.Packets, r.Bytes
	b.ReversePackets[i], b.ReverseBytes[i] = r.ReversePackets, r.ReverseBytes
	b.Domain[i], b.Input[i], b.Output[i] = r.Domain, r.Input, r.Output
	b.SrcAS[i], b.DstAS[i], b.SamplingRate[i] = r.SrcAS, r.DstAS, r.SamplingRate
	b.SrcPort[i], b.DstPort[i], b.VLAN[i] = r.SrcPort, r.DstPort, r.VLAN
	b.TCPFlags[i], b.ReverseTCPFlags[i] = r.TCPFlags, r.ReverseTCPFlags
	b.SrcMAC[i], b.DstMAC[i] = r.SrcMAC, r.DstMAC
	b.IPVersion[i], b.Proto[i], b.TOS[i] = r.IPVersion, r.Proto, r.TOS
	b.SrcMask[i], b.DstMask[i], b.Direction[i] = r.SrcMask, r.DstMask, r.Direction
	b.EndReason[i], b.ICMPType[i], b.ICMPCode[i] = r.EndReason, r.ICMPType, r.ICMPCode
	b.ForwardingStatus[i], b.ExportVersion[i] = r.ForwardingStatus, r.ExportVersion
	b.CustomerVLAN[i], b.MPLSLabel[i], b.TunnelID[i] = r.CustomerVLAN, r.MPLSLabel, r.TunnelID
	b.TunnelSrcAddr[i], b.TunnelDstAddr[i], b.TunnelProto[i], b.TunnelType[i] = r.TunnelSrcAddr, r.TunnelDstAddr, r.TunnelProto, r.TunnelType
	b.MinTTL[i], b.MaxTTL[i], b.FragmentFlags[i] = r.MinTTL, r.MaxTTL, r.FragmentFlags
	b.MinLength[i], b.MaxLength[i] = r.MinLength, r.MaxLength
	b.TCPRTT[i], b.TCPRetransmits[i], b.ReverseTCPRetransmits[i] = r.TCPRTT, r.TCPRetransmits, r.ReverseTCPRetransmits
}

// Record reads row i, which must be below Len.
func (b *Batch) Record(i int) Record {
	if i >= b.n {
		panic("netflow: row beyond the batch's length")
	}
	return Record{
		Start: b.Start[i], End: b.End[i], Received: b.Received[i],
		SrcAddr: b.SrcAddr[i], DstAddr: b.DstAddr[i], NextHop: b.NextHop[i], Exporter: b.Exporter[i],
		Packets: b.Packets[i], Bytes: b.Bytes[i],
		ReversePackets: b.ReversePackets[i], ReverseBytes: b.ReverseBytes[i],
		Domain: b.Domain[i], Input: b.Input[i], Output: b.Output[i],
		SrcAS: b.SrcAS[i], DstAS: b.DstAS[i], SamplingRate: b.SamplingRate[i],
		SrcPort: b.SrcPort[i], DstPort: b.DstPort[i], VLAN: b.VLAN[i],
		TCPFlags: b.TCPFlags[i], ReverseTCPFlags: b.ReverseTCPFlags[i],
		SrcMAC: b.SrcMAC[i], DstMAC: b.DstMAC[i],
		IPVersion: b.IPVersion[i], Proto: b.Proto[i], TOS: b.TOS[i],
		SrcMask: b.SrcMask[i], DstMask: b.DstMask[i], Direction: b.Direction[i],
		EndReason: b.EndReason[i], ICMPType: b.ICMPType[i], ICMPCode: b.ICMPCode[i],
		ForwardingStatus: b.ForwardingStatus[i], ExportVersion: b.ExportVersion[i],
		CustomerVLAN: b.CustomerVLAN[i], MPLSLabel: b.MPLSLabel[i], TunnelID: b.TunnelID[i],
		TunnelSrcAddr: b.TunnelSrcAddr[i], TunnelDstAddr: b.TunnelDstAddr[i], TunnelProto: b.TunnelProto[i], TunnelType: b.TunnelType[i],
		MinTTL: b.MinTTL[i], MaxTTL: b.MaxTTL[i], FragmentFlags: b.FragmentFlags[i],
		MinLength: b.MinLength[i], MaxLength: b.MaxLength[i],
		TCPRTT: b.TCPRTT[i], TCPRetransmits: b.TCPRetransmits[i], ReverseTCPRetransmits: b.ReverseTCPRetransmits[i],
	}
}

// AppendRows copies rows from <= i < to of src, as many as there is room for, and returns how many that was.
func (b *Batch) AppendRows(src *Batch, from, to int) int {
	n := min(to-from, b.Room())
	at := b.Extend(n, src.present)
	for s := src.present; s != 0; s &= s - 1 {
		c := Column(bits.TrailingZeros64(uint64(s)))
		switch c.Kind() {
		case KindTime:
			copy((*b.times(c))[at:at+n], (*src.times(c))[from:])
		case KindAddr:
			copy((*b.addrs(c))[at:at+n], (*src.addrs(c))[from:])
		case KindMAC:
			copy((*b.macs(c))[at:at+n], (*src.macs(c))[from:])
		case KindUint8:
			copy((*b.uint8s(c))[at:at+n], (*src.uint8s(c))[from:])
		case KindUint16:
			copy((*b.uint16s(c))[at:at+n], (*src.uint16s(c))[from:])
		case KindUint32:
			copy((*b.uint32s(c))[at:at+n], (*src.uint32s(c))[from:])
		case KindUint64:
			copy((*b.uint64s(c))[at:at+n], (*src.uint64s(c))[from:])
		}
	}
	return n
}

// Times returns the first Len values of a column of KindTime. Like its siblings below it panics when the column is of
// another kind; the slice aliases the batch.
func (b *Batch) Times(c Column) []Timestamp { return (*b.times(c))[:b.n] }

// Addrs returns the first Len values of a column of KindAddr.
func (b *Batch) Addrs(c Column) []Addr { return (*b.addrs(c))[:b.n] }

// MACs returns the first Len values of a column of KindMAC.
func (b *Batch) MACs(c Column) []MAC { return (*b.macs(c))[:b.n] }

// Uint8s returns the first Len values of a column of KindUint8.
func (b *Batch) Uint8s(c Column) []uint8 { return (*b.uint8s(c))[:b.n] }

// Uint16s returns the first Len values of a column of KindUint16.
func (b *Batch) Uint16s(c Column) []uint16 { return (*b.uint16s(c))[:b.n] }

// Uint32s returns the first Len values of a column of KindUint32.
func (b *Batch) Uint32s(c Column) []uint32 { return (*b.uint32s(c))[:b.n] }

// Uint64s returns the first Len values of a column of KindUint64.
func (b *Batch) Uint64s(c Column) []uint64 { return (*b.uint64s(c))[:b.n] }

func (b *Batch) clear(c Column, from, to int) {
	switch c.Kind() {
	case KindTime:
		clear((*b.times(c))[from:to])
	case KindAddr:
		clear((*b.addrs(c))[from:to])
	case KindMAC:
		clear((*b.macs(c))[from:to])
	case KindUint8:
		clear((*b.uint8s(c))[from:to])
	case KindUint16:
		clear((*b.uint16s(c))[from:to])
	case KindUint32:
		clear((*b.uint32s(c))[from:to])
	case KindUint64:
		clear((*b.uint64s(c))[from:to])
	}
}

const wrongKind = "netflow: column is of another kind: "

func (b *Batch) times(c Column) *[]Timestamp {
	switch c {
	case Start:
		return &b.Start
	case End:
		return &b.End
	case Received:
		return &b.Received
	}
	panic(wrongKind + c.String())
}

func (b *Batch) addrs(c Column) *[]Addr {
	switch c {
	case SrcAddr:
		return &b.SrcAddr
	case DstAddr:
		return &b.DstAddr
	case NextHop:
		return &b.NextHop
	case Exporter:
		return &b.Exporter
	case TunnelSrcAddr:
		return &b.TunnelSrcAddr
	case TunnelDstAddr:
		return &b.TunnelDstAddr
	}
	panic(wrongKind + c.String())
}

func (b *Batch) macs(c Column) *[]MAC {
	switch c {
	case SrcMAC:
		return &b.SrcMAC
	case DstMAC:
		return &b.DstMAC
	}
	panic(wrongKind + c.String())
}

func (b *Batch) uint64s(c Column) *[]uint64 {
	switch c {
	case Packets:
		return &b.Packets
	case Bytes:
		return &b.Bytes
	case ReversePackets:
		return &b.ReversePackets
	case ReverseBytes:
		return &b.ReverseBytes
	}
	panic(wrongKind + c.String())
}

func (b *Batch) uint32s(c Column) *[]uint32 {
	switch c {
	case Domain:
		return &b.Domain
	case Input:
		return &b.Input
	case Output:
		return &b.Output
	case SrcAS:
		return &b.SrcAS
	case DstAS:
		return &b.DstAS
	case SamplingRate:
		return &b.SamplingRate
	case MinLength:
		return &b.MinLength
	case MaxLength:
		return &b.MaxLength
	case MPLSLabel:
		return &b.MPLSLabel
	case TunnelID:
		return &b.TunnelID
	case TCPRTT:
		return &b.TCPRTT
	case TCPRetransmits:
		return &b.TCPRetransmits
	case ReverseTCPRetransmits:
		return &b.ReverseTCPRetransmits
	}
	panic(wrongKind + c.String())
}

func (b *Batch) uint16s(c Column) *[]uint16 {
	switch c {
	case SrcPort:
		return &b.SrcPort
	case DstPort:
		return &b.DstPort
	case TCPFlags:
		return &b.TCPFlags
	case ReverseTCPFlags:
		return &b.ReverseTCPFlags
	case VLAN:
		return &b.VLAN
	case CustomerVLAN:
		return &b.CustomerVLAN
	}
	panic(wrongKind + c.String())
}

func (b *Batch) uint8s(c Column) *[]uint8 {
	switch c {
	case IPVersion:
		return &b.IPVersion
	case Proto:
		return &b.Proto
	case TOS:
		return &b.TOS
	case SrcMask:
		return &b.SrcMask
	case DstMask:
		return &b.DstMask
	case Direction:
		return &b.Direction
	case EndReason:
		return &b.EndReason
	case ICMPType:
		return &b.ICMPType
	case ICMPCode:
		return &b.ICMPCode
	case ForwardingStatus:
		return &b.ForwardingStatus
	case ExportVersion:
		return &b.ExportVersion
	case MinTTL:
		return &b.MinTTL
	case MaxTTL:
		return &b.MaxTTL
	case FragmentFlags:
		return &b.FragmentFlags
	case TunnelProto:
		return &b.TunnelProto
	case TunnelType:
		return &b.TunnelType
	}
	panic(wrongKind + c.String())
}
