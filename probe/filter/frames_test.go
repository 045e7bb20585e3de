package filter_test

import (
	"encoding/binary"
	"math/rand/v2"

	"github.com/caprock-net/caprock/probe/dissect"
)

// frames makes frames of a link type out of few values, so that expressions made of the same values are often true: tags,
// labels, options, fragments, what is not IP, cut and damaged ones.
func frames(r *rand.Rand, link dissect.LinkType, n int) [][]byte {
	list := make([][]byte, n)
	for i := range list {
		var b []byte
		etherType, payload := network(r)
		switch link {
		case dissect.LinkEthernet:
			b = append(b, pick(r, macs)...)
			b = append(b, pick(r, macs)...)
			b = inner(r, b, etherType, payload)
		case dissect.LinkSLL:
			b = append(b, 0, byte(r.IntN(5)), 0, 1, 0, 6)
			b = append(b, pick(r, macs)...)
			b = append(b, 0, 0)
			b = inner(r, b, etherType, payload)
		case dissect.LinkSLL2:
			b = binary.BigEndian.AppendUint16(b, uint16(etherType))
			b = append(b, 0, 0, 0, 0, 0, 2, 0, 1, byte(r.IntN(5)), 6)
			b = append(b, pick(r, macs)...)
			b = append(append(b, 0, 0), payload...)
		case dissect.LinkNull:
			b = append(append(b, pick(r, []byte{2, 2, 10, 7}), 0, 0, 0), payload...)
			if etherType == 0x86dd {
				b[0] = 10
			}
		case dissect.LinkLoop:
			b = append(append(b, 0, 0, 0, pick(r, []byte{2, 2, 10, 7})), payload...)
			if etherType == 0x86dd {
				b[3] = 10
			}
		default:
			b = payload
		}
		switch r.IntN(12) {
		case 0:
			b = b[:r.IntN(len(b)+1)]
		case 1:
			if i := r.IntN(len(b)); i >= 4 || link == dissect.LinkEthernet { // of families we know more than tcpdump
				b[i] = byte(r.Uint32())
			}
		}
		list[i] = b
	}
	return list
}

var (
	macs    = [][]byte{{2, 0, 0, 0, 0, 1}, {2, 0, 0, 0, 0, 2}, {255, 255, 255, 255, 255, 255}, {1, 0, 0x5e, 0, 0, 1}}
	addrs4  = [][]byte{{10, 0, 0, 1}, {10, 1, 2, 3}, {192, 0, 2, 1}, {172, 16, 5, 4}, {224, 0, 0, 5}, {255, 255, 255, 255}, {0, 0, 0, 0}, {127, 0, 0, 1}}
	ports   = []uint16{22, 53, 80, 443, 2055, 8080, 60000}
	numbers = []byte{1, 2, 6, 6, 6, 17, 17, 58, 132, 47, 50, 51, 103, 112, 9}
)

func pick[T any](r *rand.Rand, of []T) T { return of[r.IntN(len(of))] }

func addr6(r *rand.Rand) []byte {
	a := make([]byte, 16)
	copy(a, []byte{0x20, 1, 0x0d, 0xb8, 0, byte(r.IntN(2))})
	if a[15] = byte(r.IntN(3)); r.IntN(8) == 0 {
		a[0], a[1] = 0xff, 2
	}
	return a
}

// inner puts tags and labels between the addresses and the packet.
func inner(r *rand.Rand, b []byte, etherType int, payload []byte) []byte {
	for r.IntN(3) == 0 {
		b = binary.BigEndian.AppendUint16(b, pick(r, []uint16{0x8100, 0x8100, 0x88a8, 0x9100}))
		b = binary.BigEndian.AppendUint16(b, uint16(r.IntN(3)+5)|uint16(r.IntN(2))<<13)
	}
	switch r.IntN(6) {
	case 0:
		b = binary.BigEndian.AppendUint16(b, 0x8847)
		for last := false; !last; {
			last = r.IntN(2) == 0
			label := uint32(r.IntN(3)+1000)<<12 | 64
			if last {
				label |= 1 << 8
			}
			b = binary.BigEndian.AppendUint32(b, label)
		}
	case 1:
		b = append(b, 0x88, 0x64, 0x11, 0, 0, byte(r.IntN(3)), 0, byte(len(payload)))
		b = binary.BigEndian.AppendUint16(b, map[int]uint16{0x800: 0x21, 0x86dd: 0x57}[etherType])
	case 2:
		b = binary.BigEndian.AppendUint16(b, uint16(r.IntN(1600))) // 802.3
		b = append(b, pick(r, []byte{0xaa, 0x42, 6, 0xf0, 0xfe}), pick(r, []byte{0xaa, 0x42, 6, 0xf0, 0xfe}), 3)
	default:
		b = binary.BigEndian.AppendUint16(b, uint16(etherType))
	}
	return append(b, payload...)
}

// network makes a packet of IP, ARP, RARP or something else.
func network(r *rand.Rand) (etherType int, b []byte) {
	transport := make([]byte, 20+r.IntN(200))
	for i := range transport {
		transport[i] = byte(r.Uint32())
	}
	binary.BigEndian.PutUint16(transport, pick(r, ports))
	binary.BigEndian.PutUint16(transport[2:], pick(r, ports))
	transport[12] = 0x50
	first, second := r.IntN(8), r.IntN(8)
	transport[13] = byte(1<<first | 1<<second)
	protocol := pick(r, numbers)
	if protocol == 1 || protocol == 58 {
		transport[0], transport[1] = pick(r, []byte{0, 3, 8, 128, 135}), byte(r.IntN(3))
	}
	switch r.IntN(10) {
	case 0, 1, 2, 3, 4:
		words := 5 + r.IntN(2)*r.IntN(4)
		b = make([]byte, 4*words)
		b[0], b[8], b[9] = byte(0x40+words), byte(r.IntN(256)), protocol
		b[1] = byte(r.IntN(4))
		binary.BigEndian.PutUint16(b[2:], uint16(len(b)+len(transport)))
		if r.IntN(5) == 0 {
			binary.BigEndian.PutUint16(b[6:], pick(r, []uint16{0x2000, 0x4000, 1, 0x20b9, 0x1fff}))
		}
		copy(b[12:], pick(r, addrs4))
		copy(b[16:], pick(r, addrs4))
		return 0x800, append(b, transport...)
	case 5, 6, 7:
		b = append(b, 0x60, 0, 0, 0, 0, byte(len(transport)), protocol, 64)
		b = append(append(b, addr6(r)...), addr6(r)...)
		if r.IntN(5) == 0 {
			b[6] = pick(r, []byte{44, 44, 0})
			b = append(b, protocol, 0, 0, 0, 0, 0, 0, 1)
		}
		return 0x86dd, append(b, transport...)
	case 8:
		b = append(b, 0, 1, 8, 0, 6, 4, 0, byte(1+r.IntN(2)))
		b = append(append(b, pick(r, macs)...), pick(r, addrs4)...)
		b = append(append(b, pick(r, macs)...), pick(r, addrs4)...)
		return pick(r, []int{0x806, 0x8035}), b
	}
	return pick(r, []int{0x88cc, 0x86dd, 0x0800, 0x1234}), transport
}
