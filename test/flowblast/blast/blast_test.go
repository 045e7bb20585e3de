package blast

import (
	"context"
	"encoding/binary"
	"net"
	"testing"
	"time"
)

// What a collector is told must be what was sent: datagram lengths and counts as the formats say them, sequence numbers
// without a gap by the rule of each version, and the sums in Stats.
func TestSequencesAndSums(t *testing.T) {
	for _, test := range []struct {
		protocol       string
		header, record int
		packetsAt      int                       // offset of the packet counter in a record; octets follow
		sequence       func(flows, n int) uint32 // expected in datagram n, after so many flows
		sequenceAt     int                       // offset of the sequence number
	}{
		{"v5", 24, 48, 16, func(flows, _ int) uint32 { return uint32(flows) }, 16},
		{"v9", 24, 55, 20, func(_, n int) uint32 { return uint32(n) }, 12},
		{"ipfix", 20, 58, 36, func(flows, _ int) uint32 { return uint32(flows) }, 8},
	} {
		t.Run(test.protocol, func(t *testing.T) {
			conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			s, err := New(Config{Destination: conn.LocalAddr().String(), Protocol: test.protocol, Rate: 20_000, Flows: 1000, Distinct: 16})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			sent, err := s.Run(context.Background()) // few enough for the socket's buffer
			if err != nil {
				t.Fatal(err)
			}
			var got Stats
			buf := make([]byte, 1<<16)
			for {
				conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
				n, err := conn.Read(buf)
				if err != nil {
					break
				}
				b := buf[:n]
				if seq := binary.BigEndian.Uint32(b[test.sequenceAt:]); seq != test.sequence(int(got.Flows), int(got.Datagrams)) {
					t.Fatalf("datagram %d after %d flows has sequence number %d", got.Datagrams, got.Flows, seq)
				}
				got.Datagrams++
				got.Bytes += uint64(n)
				if (n-test.header)%test.record == 0 {
					for r := b[test.header:]; len(r) > 0; r = r[test.record:] {
						got.Flows++
						got.Packets += uint64(binary.BigEndian.Uint32(r[test.packetsAt:]))
						got.Octets += uint64(binary.BigEndian.Uint32(r[test.packetsAt+4:]))
					}
				}
			}
			sent.Elapsed, sent.Refused = 0, 0
			if got != sent || got.Flows < 1000 {
				t.Errorf("received %+v, sent %+v", got, sent)
			}
		})
	}
}
