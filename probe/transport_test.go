package probe_test

import (
	"io"
	"net"
	"testing"

	"github.com/caprock-net/caprock/netflow/ipfix"
	"github.com/caprock-net/caprock/probe"
)

// streamSink counts the messages of one connection.
func streamSink(t *testing.T) (addr string, ended <-chan [2]uint64) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	counts := make(chan [2]uint64, 1)
	go func() {
		var messages, bytes uint64
		defer func() { counts <- [2]uint64{messages, bytes} }()
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		for head := make([]byte, ipfix.HeaderLen); ; {
			if _, err := io.ReadFull(conn, head); err != nil {
				return
			}
			h, err := ipfix.ParseHeader(head)
			if err != nil {
				t.Error(err)
				return
			}
			if _, err := io.CopyN(io.Discard, conn, int64(h.Length)-ipfix.HeaderLen); err != nil {
				t.Error(err)
				return
			}
			messages++
			bytes += uint64(h.Length)
		}
	}()
	return l.Addr().String(), counts
}

// TestTransports: a file goes to collectors over TCP and UDP, in turn or all to all, and everything adds up.
func TestTransports(t *testing.T) {
	name, totals := writeTrace(t, smallTrace())
	for _, balance := range []string{"none", "round-robin", "hash"} {
		t.Run(balance, func(t *testing.T) {
			one, oneEnded := streamSink(t)
			two, twoEnded := streamSink(t)
			three := newSink(t)
			cfg := filesConfig(name)
			cfg.Export.Balance = balance
			cfg.Export.Destinations = []string{"tcp://" + one, "tcp://" + two, "udp://" + three.address()}
			s, err := run(t, cfg)
			if err != nil {
				t.Fatal(err)
			}
			three.stop()
			arrived := [][2]uint64{<-oneEnded, <-twoEnded, {three.datagrams, three.bytes}}
			var packets, want uint64 = 0, uint64(totals.Packets)
			for i, c := range s.Export.Collectors {
				packets += c.Exported.Packets
				if got := [2]uint64{c.Datagrams, c.DatagramBytes}; got != arrived[i] {
					t.Errorf("%s: %d messages and bytes sent, %d arrived", c.Name, got, arrived[i])
				}
				if c.Stream && (c.Connections != 1 || c.Unconfirmed != (probe.Tally{})) {
					t.Errorf("%s: %d connections, %+v unconfirmed", c.Name, c.Connections, c.Unconfirmed)
				}
			}
			if balance == "none" {
				want *= 3
			}
			if packets != want {
				t.Errorf("%d packets exported, want %d", packets, want)
			}
		})
	}
}
