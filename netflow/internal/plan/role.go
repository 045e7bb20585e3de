package plan

import "github.com/caprock-net/caprock/netflow"

// role is what a field means to a plan: an information element that feeds a column, a sampler or a clock.
type role uint8

const (
	roleNone role = iota
	roleBytes
	roleBytesTotal
	roleBytesInitiator
	rolePackets
	rolePacketsTotal
	rolePacketsInitiator
	roleReverseBytes
	roleReverseBytesTotal
	roleBytesResponder
	roleReversePackets
	roleReversePacketsTotal
	rolePacketsResponder
	roleProto
	roleTOS
	roleTCPFlags
	roleReverseTCPFlags
	roleSrcPort
	roleSrcPortUDP
	roleSrcPortTCP
	roleDstPort
	roleDstPortUDP
	roleDstPortTCP
	roleInput
	roleInputPhysical
	roleOutput
	roleOutputPhysical
	roleSrcAS
	roleDstAS
	roleVLAN
	roleVLANDot1q
	roleCustomerVLAN
	roleMinTTL
	roleMaxTTL
	roleTTL
	roleMinLength
	roleMaxLength
	roleFragmentFlags
	roleLabel
	roleSegment
	roleTEID
	roleTunnelKey
	roleTunnelSrc
	roleTunnelDst
	roleTunnelProto
	roleTunnelType
	roleRTT
	roleClientLatency
	roleServerLatency
	roleRetransmits
	roleRetransmitsOneWay
	roleReverseRetransmits
	roleDirection
	roleEndReason
	roleForwardingStatus
	roleSrcMask4
	roleSrcMask6
	roleDstMask4
	roleDstMask6
	roleSrc4
	roleSrc6
	roleDst4
	roleDst6
	roleNextHop4
	roleNextHop6
	roleSrcMAC
	roleSrcMACPost
	roleDstMAC
	roleDstMACPost
	roleIPVersion
	roleICMP4
	roleICMP6
	roleICMP4Type
	roleICMP4Code
	roleICMP6Type
	roleICMP6Code
	roleStartNano
	roleStartMicro
	roleStartMilli
	roleStartSecond
	roleStartDelta
	roleStartUptime
	roleEndNano
	roleEndMicro
	roleEndMilli
	roleEndSecond
	roleEndDelta
	roleEndUptime
	roleInitTime
	roleDurationMilli
	roleDurationMicro
	roleEventNano
	roleEventMicro
	roleEventMilli
	roleEventSecond
	roleCollected
	roleSamplingInterval
	roleSamplerID
	roleSamplerInterval
	roleSelectorID
	roleSamplingPackets
	roleSamplingSpace
	roleSamplingSize
	roleSamplingPopulation
	roleSamplingProbability

	numRoles
)

// format is what a role's value looks like on the wire, and so which widths are usable. A field of another width is
// skipped, its record is not.
type format uint8

const (
	formatInt   format = iota // big-endian, 1 to 8 bytes
	formatFour                // IPv4 address
	formatSix                 // IPv6 address
	formatMAC                 // 6 bytes
	formatLabel               // entry of an MPLS label stack without its TTL, 3 bytes
	formatEight               // exactly 8 bytes: NTP times
	formatFloat               // IEEE 754, 4 or 8 bytes
)

func (f format) accepts(width int) bool {
	switch f {
	case formatFour:
		return width == 4
	case formatSix:
		return width == 16
	case formatMAC:
		return width == 6
	case formatLabel:
		return width == 3
	case formatEight:
		return width == 8
	case formatFloat:
		return width == 4 || width == 8
	default:
		return 1 <= width && width <= 8
	}
}

// cell returns the width that values of a variable-length field take in a flat record.
func (f format) cell() uint8 {
	switch f {
	case formatFour:
		return 4
	case formatSix:
		return 16
	case formatMAC:
		return 6
	case formatLabel:
		return 3
	default:
		return 8
	}
}

// formats holds what is not an integer.
var formats = [numRoles]format{
	roleSrc4: formatFour, roleDst4: formatFour, roleNextHop4: formatFour,
	roleTunnelSrc: formatFour, roleTunnelDst: formatFour,
	roleSrc6: formatSix, roleDst6: formatSix, roleNextHop6: formatSix,
	roleSrcMAC: formatMAC, roleSrcMACPost: formatMAC, roleDstMAC: formatMAC, roleDstMACPost: formatMAC,
	roleLabel:     formatLabel,
	roleStartNano: formatEight, roleEndNano: formatEight, roleEventNano: formatEight,
	roleStartMicro: formatEight, roleEndMicro: formatEight, roleEventMicro: formatEight,
	roleSamplingProbability: formatFloat,
}

// rolesForward maps elements of IANA's registry, and NetFlow v9's field types of the same number.
var rolesForward = [...]role{
	1: roleBytes, 85: roleBytesTotal, 231: roleBytesInitiator, 232: roleBytesResponder,
	2: rolePackets, 86: rolePacketsTotal, 298: rolePacketsInitiator, 299: rolePacketsResponder,
	4: roleProto, 5: roleTOS, 6: roleTCPFlags,
	7: roleSrcPort, 180: roleSrcPortUDP, 182: roleSrcPortTCP,
	11: roleDstPort, 181: roleDstPortUDP, 183: roleDstPortTCP,
	10: roleInput, 252: roleInputPhysical, 14: roleOutput, 253: roleOutputPhysical,
	16: roleSrcAS, 17: roleDstAS, 58: roleVLAN, 243: roleVLANDot1q, 245: roleCustomerVLAN,
	52: roleMinTTL, 53: roleMaxTTL, 192: roleTTL, 25: roleMinLength, 26: roleMaxLength, 197: roleFragmentFlags,
	70: roleLabel, 351: roleSegment, 507: roleTEID,
	61: roleDirection, 136: roleEndReason, 89: roleForwardingStatus,
	9: roleSrcMask4, 29: roleSrcMask6, 13: roleDstMask4, 30: roleDstMask6,
	8: roleSrc4, 27: roleSrc6, 12: roleDst4, 28: roleDst6, 15: roleNextHop4, 62: roleNextHop6,
	56: roleSrcMAC, 81: roleSrcMACPost, 80: roleDstMAC, 57: roleDstMACPost, 60: roleIPVersion,
	32: roleICMP4, 139: roleICMP6,
	176: roleICMP4Type, 177: roleICMP4Code, 178: roleICMP6Type, 179: roleICMP6Code,
	156: roleStartNano, 154: roleStartMicro, 152: roleStartMilli, 150: roleStartSecond, 158: roleStartDelta, 22: roleStartUptime,
	157: roleEndNano, 155: roleEndMicro, 153: roleEndMilli, 151: roleEndSecond, 159: roleEndDelta, 21: roleEndUptime,
	160: roleInitTime, 161: roleDurationMilli, 162: roleDurationMicro,
	325: roleEventNano, 324: roleEventMicro, 323: roleEventMilli, 322: roleEventSecond, 258: roleCollected,
	34: roleSamplingInterval, 48: roleSamplerID, 50: roleSamplerInterval, 302: roleSelectorID,
	305: roleSamplingPackets, 306: roleSamplingSpace, 309: roleSamplingSize, 310: roleSamplingPopulation,
	311: roleSamplingProbability,
}

// ntopV9 is what ntop adds to the number of its element for NetFlow v9, which has no enterprises.
const ntopV9 = 57472

func roleOf(f Field) role {
	if f.Scope {
		return roleNone
	}
	if f.PEN == netflow.PENIana && f.ID > ntopV9 {
		f.PEN, f.ID = netflow.PENNtop, f.ID-ntopV9
	}
	switch f.PEN {
	case netflow.PENIana:
		if int(f.ID) < len(rolesForward) {
			return rolesForward[f.ID]
		}
	case netflow.PENReverse:
		switch f.ID {
		case 1:
			return roleReverseBytes
		case 85:
			return roleReverseBytesTotal
		case 2:
			return roleReversePackets
		case 86:
			return roleReversePacketsTotal
		case 6:
			return roleReverseTCPFlags
		}
	case netflow.PENVMware: // the numbers are those of Open vSwitch
		switch f.ID {
		case 891: // tunnelType
			return roleTunnelType
		case 892: // tunnelKey
			return roleTunnelKey
		case 893: // tunnelSourceIPv4Address
			return roleTunnelSrc
		case 894: // tunnelDestinationIPv4Address
			return roleTunnelDst
		case 895: // tunnelProtocolIdentifier
			return roleTunnelProto
		}
	case netflow.PENNtop:
		switch f.ID {
		case 109: // RETRANSMITTED_IN_PKTS
			return roleRetransmits
		case 110: // RETRANSMITTED_OUT_PKTS
			return roleReverseRetransmits
		case 123: // CLIENT_NW_LATENCY_MS
			return roleClientLatency
		case 124: // SERVER_NW_LATENCY_MS
			return roleServerLatency
		}
	case netflow.PENFlowmon:
		switch f.ID {
		case 69: // npmRoundTripTime
			return roleRTT
		case 71: // npmTcpRetransmission
			return roleRetransmitsOneWay
		}
	}
	return roleNone
}
