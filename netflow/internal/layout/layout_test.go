package layout_test

import (
	"bytes"
	"testing"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/netflow/internal/layout"
)

// Every byte that a template announces is written: none is left from the record before.
func TestWritesEveryByte(t *testing.T) {
	const baseLen = 7
	own := layout.Own{Base: []layout.Field{{ID: 4, Size: 3}, {ID: 1, Size: 4}}}
	own.ICMP[layout.IPv4] = []layout.Field{{ID: 32, Size: 2}}
	own.ICMP[layout.IPv6] = []layout.Field{{ID: 178, Size: 1}, {ID: 179, Size: 1}}
	templates := own.Templates(layout.ICMP | layout.Link | layout.Route | layout.Both | layout.TCP)
	records := []netflow.Record{
		{}, {IPVersion: 4}, {IPVersion: 6}, {IPVersion: 4, Proto: netflow.ProtoICMP}, {IPVersion: 6, Proto: netflow.ProtoICMPv6},
	}
	for _, kind := range records {
		for bits := range 8 {
			r := kind
			if bits&1 != 0 {
				r.VLAN = 1
			}
			if bits&2 != 0 {
				r.SrcAS = 1
			}
			if bits&4 != 0 {
				r.ReversePackets = 1
			}
			l := layout.Of(&r)
			size := templates[l].Size
			write := func(fill byte) []byte {
				p := bytes.Repeat([]byte{fill}, size)
				base := l.WriteAddresses(p, &r)
				clear(base[:baseLen])
				if l.HasGroups() {
					l.WriteGroups(base[baseLen:], &r)
				} else if len(base) != baseLen {
					t.Errorf("layout %#x: %d bytes behind the addresses, want %d", l, len(base), baseLen)
				}
				return p
			}
			if a, b := write(0), write(0xff); size < baseLen || !bytes.Equal(a, b) {
				t.Errorf("layout %#x of %d bytes: % x, over other bytes % x", l, size, a, b)
			}
		}
	}
}
