package netflow

// icmpPairs are the requests of ICMP and ICMPv6 with the messages that answer them: RFC 792, RFC 950 and RFC 4443.
var icmpPairs = [...]struct{ proto, request, reply uint8 }{
	{ProtoICMP, 8, 0},       // echo
	{ProtoICMP, 13, 14},     // timestamp
	{ProtoICMP, 15, 16},     // information
	{ProtoICMP, 17, 18},     // address mask
	{ProtoICMPv6, 128, 129}, // echo
}

// ICMPReply returns the type of message that answers one of ICMP, or of ICMPv6; false: that is no request.
func ICMPReply(proto, request uint8) (reply uint8, ok bool) {
	for _, p := range icmpPairs {
		if p.proto == proto && p.request == request {
			return p.reply, true
		}
	}
	return 0, false
}

// ICMPRequest returns the type of message that one of ICMP, or of ICMPv6, answers; false: it answers none.
func ICMPRequest(proto, reply uint8) (request uint8, ok bool) {
	for _, p := range icmpPairs {
		if p.proto == proto && p.reply == reply {
			return p.request, true
		}
	}
	return 0, false
}
