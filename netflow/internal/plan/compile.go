package plan

import "github.com/caprock-net/caprock/netflow"

// integers lists the columns of plain numbers with the roles that feed them, best first. Only the best that a layout has
// is used; with fill the others take over in rows where it is zero.
var integers = []struct {
	col   netflow.Column
	fill  bool
	roles []role
}{
	{netflow.Bytes, false, []role{roleBytes, roleBytesTotal, roleBytesInitiator}},
	{netflow.Packets, false, []role{rolePackets, rolePacketsTotal, rolePacketsInitiator}},
	{netflow.ReverseBytes, false, []role{roleReverseBytes, roleReverseBytesTotal, roleBytesResponder}},
	{netflow.ReversePackets, false, []role{roleReversePackets, roleReversePacketsTotal, rolePacketsResponder}},
	{netflow.Proto, false, []role{roleProto}},
	{netflow.TOS, false, []role{roleTOS}},
	{netflow.TCPFlags, false, []role{roleTCPFlags}},
	{netflow.ReverseTCPFlags, false, []role{roleReverseTCPFlags}},
	{netflow.SrcPort, true, []role{roleSrcPort, roleSrcPortTCP, roleSrcPortUDP}},
	{netflow.DstPort, true, []role{roleDstPort, roleDstPortTCP, roleDstPortUDP}},
	{netflow.Input, false, []role{roleInput, roleInputPhysical}},
	{netflow.Output, false, []role{roleOutput, roleOutputPhysical}},
	{netflow.SrcAS, false, []role{roleSrcAS}},
	{netflow.DstAS, false, []role{roleDstAS}},
	{netflow.VLAN, true, []role{roleVLAN, roleVLANDot1q}},
	{netflow.CustomerVLAN, false, []role{roleCustomerVLAN}},
	{netflow.MinTTL, false, []role{roleMinTTL, roleTTL}},
	{netflow.MaxTTL, false, []role{roleMaxTTL, roleTTL}},
	{netflow.MinLength, false, []role{roleMinLength}},
	{netflow.MaxLength, false, []role{roleMaxLength}},
	{netflow.FragmentFlags, false, []role{roleFragmentFlags}},
	{netflow.TunnelProto, false, []role{roleTunnelProto}},
	{netflow.TunnelType, false, []role{roleTunnelType}},
	{netflow.TCPRTT, false, []role{roleRTT}},
	{netflow.TCPRetransmits, false, []role{roleRetransmits, roleRetransmitsOneWay}},
	{netflow.ReverseTCPRetransmits, false, []role{roleReverseRetransmits}},
	{netflow.Direction, false, []role{roleDirection}},
	{netflow.EndReason, false, []role{roleEndReason}},
	{netflow.ForwardingStatus, false, []role{roleForwardingStatus}},
}

func (p *Plan) compileFlows() {
	p.compileFamily()
	for _, x := range integers {
		when := uint8(0)
		for _, r := range x.roles {
			if !p.has(r) {
				continue
			}
			p.emit(opcode(x.col), x.col, r, when)
			if !x.fill {
				break
			}
			when = whenZero
		}
	}
	p.compileLabels()
	p.compileEither(opMAC, netflow.SrcMAC, roleSrcMAC, roleSrcMACPost)
	p.compileEither(opMAC, netflow.DstMAC, roleDstMAC, roleDstMACPost)
	p.compileTimes()
	if p.has(roleProto) || p.has(roleICMP4) || p.has(roleICMP6) || p.has(roleICMP4Type) || p.has(roleICMP6Type) {
		p.ops = append(p.ops, op{code: opICMP})
	}
	if p.has(roleSamplingInterval) || p.has(roleSamplingPackets) || p.has(roleSamplingPopulation) ||
		p.has(roleSamplerID) || p.has(roleSelectorID) {
		p.ops = append(p.ops, op{code: opSampling})
	}
}

// compileFamily emits addresses, prefix lengths and next hop. In a layout with addresses of both families the element
// ipVersion decides row by row, else the address that is not zero.
func (p *Plan) compileFamily() {
	four := p.has(roleSrc4) || p.has(roleDst4)
	six := p.has(roleSrc6) || p.has(roleDst6)
	switch {
	case four && six:
		p.emit(opFamily, netflow.IPVersion, roleNone, 0)
	case four:
		p.emit(opVersion, netflow.IPVersion, roleNone, 4)
	case six:
		p.emit(opVersion, netflow.IPVersion, roleNone, 6)
	}
	p.compileByFamily(netflow.SrcAddr, roleSrc4, roleSrc6, four)
	p.compileByFamily(netflow.DstAddr, roleDst4, roleDst6, four)
	p.compileMask(netflow.SrcMask, roleSrcMask4, roleSrcMask6, four && six)
	p.compileMask(netflow.DstMask, roleDstMask4, roleDstMask6, four && six)
	when := uint8(0)
	if p.has(roleNextHop6) {
		p.emit(opAddr6, netflow.NextHop, roleNextHop6, 0)
		when = whenZero
	}
	if p.has(roleNextHop4) {
		p.emit(opAddr4, netflow.NextHop, roleNextHop4, when)
	}
}

func (p *Plan) compileByFamily(c netflow.Column, four, six role, anyFour bool) {
	switch {
	case p.has(four) && p.has(six):
		p.emit(opAddr4, c, four, 4)
		p.emit(opAddr6, c, six, 6)
	case p.has(four):
		p.emit(opAddr4, c, four, 0)
	case p.has(six):
		p.emit(opAddr6, c, six, 0)
	case anyFour:
		p.emit(opNoAddr4, c, roleNone, 4)
	}
}

func (p *Plan) compileMask(c netflow.Column, four, six role, byFamily bool) {
	switch {
	case p.has(four) && p.has(six) && byFamily:
		p.emit(opcode(c), c, four, 4)
		p.emit(opcode(c), c, six, 6)
	case p.has(four) && p.has(six):
		p.emit(opcode(c), c, four, 0)
		p.emit(opcode(c), c, six, whenZero)
	case p.has(four):
		p.emit(opcode(c), c, four, 0)
	case p.has(six):
		p.emit(opcode(c), c, six, 0)
	}
}

func (p *Plan) compileEither(code opcode, c netflow.Column, first, second role) {
	switch {
	case p.has(first):
		p.emit(code, c, first, 0)
	case p.has(second):
		p.emit(code, c, second, 0)
	}
}

// starts and ends list the encodings of a flow's times, the most precise first; a row takes the first that is not zero.
var (
	starts = []struct {
		code opcode
		role role
	}{
		{opNTP, roleStartNano}, {opNTP, roleStartMicro}, {opMilli, roleStartMilli}, {opSecond, roleStartSecond},
		{opDelta, roleStartDelta}, {opUptime, roleStartUptime},
	}
	ends = []struct {
		code opcode
		role role
	}{
		{opNTP, roleEndNano}, {opNTP, roleEndMicro}, {opMilli, roleEndMilli}, {opSecond, roleEndSecond},
		{opDelta, roleEndDelta}, {opUptime, roleEndUptime},
	}
	events = []role{roleEventNano, roleEventMicro, roleEventMilli, roleEventSecond, roleCollected}
)

func (p *Plan) compileTimes() {
	var nStart, nEnd, nOther int
	for _, x := range starts {
		if p.has(x.role) {
			p.emit(x.code, netflow.Start, x.role, whenZero*uint8(min(nStart, 1)))
			nStart++
		}
	}
	for _, x := range ends {
		if p.has(x.role) {
			p.emit(x.code, netflow.End, x.role, whenZero*uint8(min(nEnd, 1)))
			nEnd++
		}
	}
	for _, r := range append(events, roleDurationMilli, roleDurationMicro) {
		if p.has(r) {
			nOther++
		}
	}
	if nStart != nEnd || nOther > 0 {
		p.emit(opSpan, netflow.Start, roleNone, 0)
		p.columns |= netflow.SetOf(netflow.End)
	}
}

// twins lists what the two operations of each twin are.
var twins = [numTwins]struct {
	first, second netflow.Column
	code          opcode // of both; 0: the integer operations of the columns
	size          int    // bytes of the widest field that fits
}{
	twinAddr4:              {netflow.SrcAddr, netflow.DstAddr, opAddr4, 4},
	twinCounters:           {netflow.Bytes, netflow.Packets, 0, 8},
	twinProtoTOS:           {netflow.Proto, netflow.TOS, 0, 1},
	twinPorts:              {netflow.SrcPort, netflow.DstPort, 0, 2},
	twinInterfaces:         {netflow.Input, netflow.Output, 0, 4},
	twinAS:                 {netflow.SrcAS, netflow.DstAS, 0, 4},
	twinMasks:              {netflow.SrcMask, netflow.DstMask, 0, 1},
	twinDirectionEndReason: {netflow.Direction, netflow.EndReason, 0, 1},
	twinUptimes:            {netflow.Start, netflow.End, opUptime, 4},
	twinMillis:             {netflow.Start, netflow.End, opMilli, 8},
}

// findTwins takes the operations out of ops that a twin does.
func (p *Plan) findTwins() {
	ops := p.ops[:0]
	for _, o := range p.ops {
		if len(ops) == 0 || !p.twin(ops[len(ops)-1], o) {
			ops = append(ops, o)
			continue
		}
		ops = ops[:len(ops)-1]
	}
	p.ops = ops
}

// twin makes a twin of two operations if there is one: they read all rows, and fields of the same usual width, which fits
// their columns.
func (p *Plan) twin(a, b op) bool {
	for i, x := range twins {
		first, second := x.code, x.code
		if x.code == 0 {
			first, second = opcode(x.first), opcode(x.second)
		}
		if a.code != first || b.code != second || a.col != x.first || b.col != x.second || a.when != 0 || b.when != 0 {
			continue
		}
		width := int(p.slots[a.slot].width)
		usual := width == x.size || x.code == 0 && width < x.size && width&(width-1) == 0 && width > 0
		if usual && int(p.slots[b.slot].width) == width && (x.code != opUptime || !p.has(roleInitTime)) {
			p.twins[i] = fields{first: p.slots[a.slot].off, second: p.slots[b.slot].off, width: uint8(width)}
			return true
		}
	}
	return false
}
