package dissect

// Levels returns the packets in each other that Dissect and Enter find in a frame, the outermost first.
func Levels(set Tunnels, link LinkType, frame []byte, wireLen int) []Packet {
	var p Packet
	missing := max(wireLen-len(frame), 0)
	if Dissect(link, frame, wireLen, &p) != OK && (p.Captured == 0 || !enterPseudowire(frame, missing, &p)) {
		return nil
	}
	levels := []Packet{p}
	for len(levels) <= MaxTunnels && set.carriedBy(&p) != 0 && set.enter(frame, missing, &p, nil) {
		levels = append(levels, p)
	}
	return levels
}
