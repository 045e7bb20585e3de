package capture

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caprock-net/caprock/probe/capture/capturetest"
	"github.com/caprock-net/caprock/probe/dissect"
	"github.com/caprock-net/caprock/probe/filter"
)

func openRings(t *testing.T, cfg LiveConfig, n int) []*Live {
	t.Helper()
	rings, err := OpenRings(cfg, n)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range rings {
		t.Cleanup(func() { l.Close() })
	}
	return rings
}

// collectRings calls f while the rings are read, then stops them, and returns what each has seen.
func collectRings(t *testing.T, rings []*Live, f func()) [][]Frame {
	t.Helper()
	got := make([][]Frame, len(rings))
	var reading sync.WaitGroup
	for i, l := range rings {
		reading.Go(func() { got[i] = drain(t, l) })
	}
	f()
	time.Sleep(300 * time.Millisecond) // the kernel passes frames on in its own time, on a busy machine
	for _, l := range rings {
		l.Stop()
	}
	reading.Wait()
	return got
}

// ipPacket makes the IP packet of a protocol between two addresses; fragment is the word with flags and offset, of IPv4.
func ipPacket(src, dst string, proto uint8, fragment uint16, payload []byte) []byte {
	from, to := netip.MustParseAddr(src), netip.MustParseAddr(dst)
	if from.Is6() {
		b := append([]byte{0x60, 0, 0, 0, byte(len(payload) >> 8), byte(len(payload)), proto, 64}, from.AsSlice()...)
		return append(append(b, to.AsSlice()...), payload...)
	}
	b := []byte{0x45, 0, byte((20 + len(payload)) >> 8), byte(20 + len(payload)), 0, 7, byte(fragment >> 8), byte(fragment), 64, proto, 0, 0}
	b = append(append(b, from.AsSlice()...), to.AsSlice()...)
	return append(b, payload...)
}

// ports makes the beginning of a UDP header, with some payload.
func ports(src, dst int) []byte {
	return append([]byte{byte(src >> 8), byte(src), byte(dst >> 8), byte(dst), 0, 40, 0, 0}, make([]byte, 32)...)
}

// framed puts a link header in front: 0800 or 86dd by the packet's version, behind what is given.
func framed(packet []byte, before ...uint16) []byte {
	b := []byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2}
	for _, word := range before {
		b = binary.BigEndian.AppendUint16(b, word)
	}
	if packet[0]>>4 == 6 {
		b = binary.BigEndian.AppendUint16(b, 0x86dd)
	} else {
		b = binary.BigEndian.AppendUint16(b, 0x0800)
	}
	return append(b, packet...)
}

// TestRings: each frame that arrived comes by exactly one ring, in order there, and rings share about equally.
func TestRings(t *testing.T) {
	isolate(t)
	veth(t)
	const n, frames = 3, 9000
	rings := openRings(t, LiveConfig{Interface: "near", RingSize: 24 << 20, Promiscuous: true}, n)
	var sent [][]byte
	for i := range frames {
		p := ipPacket(fmt.Sprintf("10.1.%d.%d", i>>8&15, i&255), "192.0.2.1", 17, 0, ports(i, 53))
		if i%3 == 0 {
			p = ipPacket(fmt.Sprintf("2001:db8::%x", i), "2001:db8:1::1", 17, 0, ports(i, 53))
		}
		binary.BigEndian.PutUint32(p[len(p)-4:], uint32(i))
		sent = append(sent, framed(p))
	}
	got := collectRings(t, rings, func() { capturetest.Send(t, "far", sent...) })
	seen := map[uint32]int{}
	total := 0
	for i, frames := range got {
		last := uint32(0)
		for j, f := range frames {
			number := binary.BigEndian.Uint32(f.Data[len(f.Data)-4:])
			if seen[number]++; seen[number] > 1 || j > 0 && number <= last {
				t.Fatalf("ring %d: frame %d after %d, seen %d times", i, number, last, seen[number])
			}
			last = number
		}
		total += len(frames)
		if s := rings[i].Stats(); s.Dropped != 0 || (s.Interface != nil) != (i == 0) {
			t.Errorf("ring %d: stats %+v", i, s)
		}
	}
	if s := rings[0].Stats(); s.Interface == nil || s.Interface.RxPackets != uint64(total) || total < frames/10 {
		t.Fatalf("%d frames of %d, %+v", total, frames, s.Interface)
	}
	for i, frames := range got {
		if len(frames) < total/n/2 || len(frames) > total/n*2 {
			t.Errorf("ring %d has %d of %d frames", i, len(frames), total)
		}
	}
}

// TestRingsTogether: all packets between two addresses come by the same ring, whatever they are and wherever they go; other
// addresses by another one, now and then.
func TestRingsTogether(t *testing.T) {
	isolate(t)
	veth(t)
	const n, pairs = 8, 60
	rings := openRings(t, LiveConfig{Interface: "near", RingSize: n * MinRingSize, Promiscuous: true}, n)
	got := collectRings(t, rings, func() {
		for i := range pairs {
			a, b := fmt.Sprintf("10.0.%d.1", i), fmt.Sprintf("10.9.0.%d", i)
			if i%2 == 1 {
				a, b = fmt.Sprintf("2001:db8:%x::1", i), fmt.Sprintf("2001:db8::%x:2", i)
			}
			in := []uint16{0x8100, uint16(i)}
			inner := ipPacket("192.0.2.1", fmt.Sprintf("192.0.2.%d", i), 17, 0, ports(i, 9))
			arriving := [][]byte{
				framed(ipPacket(a, b, 17, 0, ports(1000, 53))),
				framed(ipPacket(a, b, 17, 0, ports(1001, 53))),
				framed(ipPacket(b, a, 17, 0, ports(53, 1000))),
				framed(ipPacket(a, b, 17, 0, ports(1000, 53)), in...),
				framed(ipPacket(b, a, 17, 0, ports(1000, 53)), 0x88a8, 3, 0x8100, 4),
				framed(ipPacket(a, b, 47, 0, append([]byte{0, 0, 8, 0}, inner...))), // GRE
				append([]byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x88, 0x47, 0, 1, 0x10, 64, 0, 2, 0x21, 64}, ipPacket(a, b, 17, 0, ports(7, 8))...),
			}
			ppp := []byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x88, 0x64, 0x11, 0, 0, 1, 0, 62, 0, 0x21}
			if i%2 == 1 {
				ppp[21] = 0x57
			} else {
				arriving = append(arriving, framed(ipPacket(a, b, 17, 0x2000, ports(1000, 53))), framed(ipPacket(a, b, 17, 5, make([]byte, 40))))
			}
			arriving = append(arriving, append(ppp, ipPacket(b, a, 17, 0, ports(7, 8))...))
			capturetest.Send(t, "far", arriving...)
			capturetest.Send(t, "near", framed(ipPacket(b, a, 17, 0, ports(53, 1000))), framed(ipPacket(b, a, 17, 0, ports(53, 1000)), in...))
		}
	})
	of := map[string]int{}
	count := map[string]int{}
	used := map[int]bool{}
	for ring, frames := range got {
		for _, f := range frames {
			key := pairOf(t, f.Data)
			if key == "" {
				continue
			}
			if former, ok := of[key]; ok && former != ring {
				t.Fatalf("%s: rings %d and %d: % x", key, former, ring, f.Data)
			}
			of[key] = ring
			count[key]++
			used[ring] = true
		}
	}
	if len(of) != pairs || len(used) < n/2 {
		t.Errorf("%d pairs of addresses in %d rings, want %d in %d", len(of), len(used), pairs, n)
	}
	for key, got := range count {
		if want := 10; got < want {
			t.Errorf("%s: %d packets, want %d at least", key, got, want)
		}
	}
}

// pairOf finds the addresses of a frame, in order, behind all that may be before them.
func pairOf(t *testing.T, b []byte) string {
	b = b[12:]
	for {
		kind := binary.BigEndian.Uint16(b)
		b = b[2:]
		switch kind {
		case 0x8100, 0x88a8:
			b = b[2:]
			continue
		case 0x8847:
			b = b[8:]
		case 0x8864:
			b = b[8:]
		case 0x0800, 0x86dd:
		default:
			return ""
		}
		break
	}
	pair := []string{string(b[12:16]), string(b[16:20])}
	if b[0]>>4 == 6 {
		pair = []string{string(b[8:24]), string(b[24:40])}
	}
	slices.Sort(pair)
	return fmt.Sprintf("%x", strings.Join(pair, "-"))
}

// TestRingsApart: two groups on one interface, as of two probes, see every frame each.
func TestRingsApart(t *testing.T) {
	isolate(t)
	veth(t)
	cfg := LiveConfig{Interface: "near", RingSize: 8 << 20}
	one, two := openRings(t, cfg, 2), openRings(t, cfg, 2)
	var sent [][]byte
	for i := range 100 {
		sent = append(sent, framed(ipPacket(fmt.Sprintf("10.0.0.%d", i), "10.1.1.1", 17, 0, ports(i, 9))))
	}
	got := collectRings(t, append(one, two...), func() { capturetest.Send(t, "far", sent...) })
	if a, b := len(got[0])+len(got[1]), len(got[2])+len(got[3]); a != len(sent) || b != len(sent) {
		t.Errorf("%d and %d frames, want %d each", a, b, len(sent))
	}
}

// TestRingsFilter: every ring has the filter, and the snap length; also on all interfaces at once.
func TestRingsFilter(t *testing.T) {
	isolate(t)
	veth(t)
	f, err := filter.Parse("udp port 53")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"near", "any"} {
		rings := openRings(t, LiveConfig{Interface: name, RingSize: 8 << 20, Filter: f, SnapLen: 64}, 2)
		got := collectRings(t, rings, func() {
			for i := range 50 {
				a := fmt.Sprintf("10.0.0.%d", i)
				capturetest.Send(t, "far", framed(ipPacket(a, "10.1.1.1", 17, 0, ports(i, 53))), framed(ipPacket(a, "10.1.1.1", 17, 0, ports(i, 54))))
			}
		})
		arrived := 0
		for _, f := range slices.Concat(got...) {
			if len(f.Data) > 64+cookedLen {
				t.Errorf("%s: %d bytes", name, len(f.Data))
			}
			var p dissect.Packet
			if v := dissect.Dissect(f.Link, f.Data, f.WireLen, &p); v != dissect.OK || p.DstPort != 53 {
				t.Errorf("%s: verdict %v, port %d", name, v, p.DstPort)
			}
			arrived++
		}
		want := 50
		if name == "any" {
			want = 100 // at near and at far
		}
		if arrived != want || len(got[0]) == 0 || len(got[1]) == 0 {
			t.Errorf("%s: %d and %d packets, want %d", name, len(got[0]), len(got[1]), want)
		}
	}
}

// TestRingsGone: all rings notice that the interface goes down, and that it is removed.
func TestRingsGone(t *testing.T) {
	isolate(t)
	veth(t)
	rings := openRings(t, LiveConfig{Interface: "near", RingSize: 8 << 20}, 2)
	capturetest.IP(t, "link", "set", "near", "down")
	for _, l := range rings {
		var f Frame
		if err := l.Next(&f); err != ErrIdle || l.Stats().Downs != 1 {
			t.Errorf("down: %v, %+v", err, l.Stats())
		}
	}
	capturetest.IP(t, "link", "del", "near")
	for _, l := range rings {
		var f Frame
		err := error(ErrIdle)
		for range 50 {
			if err = l.Next(&f); err != ErrIdle {
				break
			}
		}
		if !errors.Is(err, ErrGone) {
			t.Errorf("removed: %v, want %v", err, ErrGone)
		}
	}
}

// TestRingsErrors: what is wrong is said once.
func TestRingsErrors(t *testing.T) {
	isolate(t)
	if _, err := OpenRings(LiveConfig{Interface: "nosuch0"}, 3); err == nil || strings.Count(err.Error(), "nosuch0") != 1 {
		t.Errorf("no such interface: %v", err)
	}
	if _, err := OpenRings(LiveConfig{Interface: "lo", SnapLen: 1}, 2); err == nil {
		t.Error("a snap length of 1 is taken")
	}
}
