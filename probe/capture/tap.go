package capture

// TapCounts says what became of frames that were to be sent on another interface: each is in one of them, but SentBytes.
type TapCounts struct {
	Sent, SentBytes uint64
	Full            uint64 // not sent: the queue of the interface was full, or its cable not plugged in
	TooLong         uint64 // likewise: longer than its MTU
	Down            uint64 // likewise: it was down, or removed
	Cut             uint64 // likewise: not captured whole
	OtherLink       uint64 // likewise: of another link type than the interface's
	Refused         uint64 // likewise: for another reason, such as being shorter than a link header
}

// Add adds up.
func (c *TapCounts) Add(d TapCounts) {
	c.Sent += d.Sent
	c.SentBytes += d.SentBytes
	c.Full += d.Full
	c.TooLong += d.TooLong
	c.Down += d.Down
	c.Cut += d.Cut
	c.OtherLink += d.OtherLink
	c.Refused += d.Refused
}
