package capture

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/caprock-net/caprock/probe/capture/capturetest"
	"github.com/caprock-net/caprock/probe/dissect"
	"github.com/caprock-net/caprock/probe/filter"
)

// ringOpeners are the ways to several rings of one interface.
var ringOpeners = map[string]func(LiveConfig, int) ([]*Live, error){
	"group": OpenRings,
	"filters": func(cfg LiveConfig, n int) ([]*Live, error) { // as before Linux 6.13, on an interface that is down
		return openRings(cfg.withDefaults(), n, func([]*Live, spread) error { return unix.EINVAL })
	},
	"pool": func(cfg LiveConfig, n int) ([]*Live, error) {
		p, err := NewPool(cfg, 1, n)
		if err != nil {
			return nil, err
		}
		i, err := InterfaceNamed(cfg.Interface)
		if err != nil {
			return nil, err
		}
		return p.Open(i)
	},
}

// eachOpener runs a test for each of them, with the interfaces near and far.
func eachOpener(t *testing.T, f func(t *testing.T, open func(LiveConfig, int) []*Live)) {
	for name, opener := range ringOpeners {
		t.Run(name, func(t *testing.T) {
			isolate(t)
			veth(t)
			f(t, func(cfg LiveConfig, n int) []*Live {
				t.Helper()
				rings, err := opener(cfg, n)
				if err != nil {
					t.Fatal(err)
				}
				for _, l := range rings {
					t.Cleanup(func() { l.Close() })
				}
				return rings
			})
		})
	}
}

// collectRings calls f while the rings are read, waits until they have seen as many frames together as that returns, then
// stops them, and returns what each has seen.
func collectRings(t *testing.T, rings []*Live, f func() int) [][]Frame {
	t.Helper()
	got := make([][]Frame, len(rings))
	var seen atomic.Int64
	var reading sync.WaitGroup
	for i, l := range rings {
		reading.Go(func() {
			var f Frame
			for {
				switch err := l.Next(&f); err {
				case nil:
					f.Data = bytes.Clone(f.Data)
					got[i] = append(got[i], f)
					seen.Add(1)
				case ErrIdle:
				case io.EOF:
					return
				default:
					t.Error(err)
					return
				}
			}
		})
	}
	want := int64(f())
	for until := time.Now().Add(20 * time.Second); seen.Load() < want; time.Sleep(time.Millisecond) {
		if time.Now().After(until) {
			t.Errorf("%d frames seen, want %d", seen.Load(), want)
			break
		}
	}
	for _, l := range rings {
		l.Stop()
	}
	reading.Wait()
	if seen.Load() > want {
		t.Errorf("%d frames seen, want %d", seen.Load(), want)
	}
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
	const n, frames = 3, 9000
	var sent [][]byte
	for i := range frames {
		p := ipPacket(fmt.Sprintf("10.1.%d.%d", i>>8&15, i&255), "192.0.2.1", 17, 0, ports(i, 53))
		if i%3 == 0 {
			p = ipPacket(fmt.Sprintf("2001:db8::%x", i), "2001:db8:1::1", 17, 0, ports(i, 53))
		}
		binary.BigEndian.PutUint32(p[len(p)-4:], uint32(i))
		sent = append(sent, framed(p))
	}
	eachOpener(t, func(t *testing.T, open func(LiveConfig, int) []*Live) {
		rings := open(LiveConfig{Interface: "near", RingSize: 24 << 20, Promiscuous: true}, n)
		total := 0
		got := collectRings(t, rings, func() int {
			capturetest.Send(t, "far", sent...)
			total = int(rings[0].Stats().Interface.RxPackets) // on a busy machine some may be lost in the kernel's backlog
			return total
		})
		if total < frames/10 {
			t.Errorf("%d frames of %d", total, frames)
		}
		seen := map[uint32]int{}
		for i, frames := range got {
			last := uint32(0)
			for j, f := range frames {
				number := binary.BigEndian.Uint32(f.Data[len(f.Data)-4:])
				if seen[number]++; seen[number] > 1 || j > 0 && number <= last {
					t.Fatalf("ring %d: frame %d after %d, seen %d times", i, number, last, seen[number])
				}
				last = number
			}
			if s := rings[i].Stats(); s.Dropped != 0 || (s.Interface != nil) != (i == 0) {
				t.Errorf("ring %d: stats %+v", i, s)
			}
			if len(frames) < total/n/2 || len(frames) > total/n*2 {
				t.Errorf("ring %d has %d of %d frames", i, len(frames), total)
			}
		}
	})
}

// TestRingsTogether: all packets between two addresses come by the same ring, whatever they are and wherever they go; other
// addresses by another one, now and then.
func TestRingsTogether(t *testing.T) {
	eachOpener(t, testRingsTogether)
}

func testRingsTogether(t *testing.T, open func(LiveConfig, int) []*Live) {
	const n, pairs = 8, 60
	rings := open(LiveConfig{Interface: "near", RingSize: n * 8 << 20, Promiscuous: true}, n)
	sent := 0
	send := func(name string, frames ...[]byte) {
		capturetest.Send(t, name, frames...)
		sent += len(frames)
	}
	got := collectRings(t, rings, func() int {
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
			send("far", arriving...)
			send("near", framed(ipPacket(b, a, 17, 0, ports(53, 1000))), framed(ipPacket(b, a, 17, 0, ports(53, 1000)), in...))
		}
		c := rings[0].Stats().Interface
		if int(c.RxPackets+c.TxPackets) != sent {
			t.Logf("%d of %d frames passed: the kernel's backlog was full", c.RxPackets+c.TxPackets, sent)
		}
		return int(c.RxPackets + c.TxPackets)
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
	one, err := OpenRings(cfg, 2)
	two, err2 := ringOpeners["pool"](cfg, 2)
	if err != nil || err2 != nil {
		t.Fatal(err, err2)
	}
	var sent [][]byte
	for i := range 100 {
		sent = append(sent, framed(ipPacket(fmt.Sprintf("10.0.0.%d", i), "10.1.1.1", 17, 0, ports(i, 9))))
	}
	got := collectRings(t, append(one, two...), func() int { capturetest.Send(t, "far", sent...); return 2 * len(sent) })
	for _, l := range append(one, two...) {
		l.Close()
	}
	if a, b := len(got[0])+len(got[1]), len(got[2])+len(got[3]); a != len(sent) || b != len(sent) {
		t.Errorf("%d and %d frames, want %d each", a, b, len(sent))
	}
}

// TestRingsFilter: every ring has the filter, and the snap length; also on all interfaces at once.
func TestRingsFilter(t *testing.T) {
	f, err := filter.Parse("udp port 53")
	if err != nil {
		t.Fatal(err)
	}
	cfg := LiveConfig{RingSize: 8 << 20, Filter: f, SnapLen: 64}
	test := func(t *testing.T, rings []*Live, want int) {
		got := collectRings(t, rings, func() int {
			for i := range 50 {
				a := fmt.Sprintf("10.0.0.%d", i)
				capturetest.Send(t, "far", framed(ipPacket(a, "10.1.1.1", 17, 0, ports(i, 54))), framed(ipPacket(a, "10.1.1.1", 17, 0, ports(i, 53))))
			}
			return want
		})
		for _, f := range slices.Concat(got...) {
			if len(f.Data) > 64+cookedLen {
				t.Errorf("%d bytes", len(f.Data))
			}
			var p dissect.Packet
			if v := dissect.Dissect(f.Link, f.Data, f.WireLen, &p); v != dissect.OK || p.DstPort != 53 {
				t.Errorf("verdict %v, port %d", v, p.DstPort)
			}
		}
		if len(got[0]) == 0 || len(got[1]) == 0 {
			t.Errorf("%d and %d packets", len(got[0]), len(got[1]))
		}
	}
	eachOpener(t, func(t *testing.T, open func(LiveConfig, int) []*Live) {
		cfg := cfg
		cfg.Interface = "near"
		test(t, open(cfg, 2), 50)
	})
	for name, opener := range ringOpeners {
		if name == "pool" {
			continue
		}
		t.Run("any/"+name, func(t *testing.T) {
			isolate(t)
			veth(t)
			cfg := cfg
			cfg.Interface = "any"
			rings, err := opener(cfg, 2)
			if err != nil {
				t.Fatal(err)
			}
			test(t, rings, 100) // at near and at far
			for _, l := range rings {
				l.Close()
			}
		})
	}
}

// TestRingsShort: a frame that ends anywhere comes by exactly one ring.
func TestRingsShort(t *testing.T) {
	var sent [][]byte
	ppp := append([]byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x88, 0x64, 0x11, 0, 0, 1, 0, 62, 0, 0x21}, ipPacket("10.0.0.1", "10.9.0.1", 17, 0, ports(7, 8))...)
	mpls := append([]byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x88, 0x47, 0, 1, 0x10, 64, 0, 2, 0x21, 64}, ipPacket("10.0.0.2", "10.9.0.1", 17, 0, ports(7, 8))...)
	endless := append([]byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x88, 0x47}, make([]byte, 64)...)
	for _, whole := range [][]byte{
		framed(ipPacket("10.0.0.3", "10.9.0.1", 17, 0, ports(7, 8))), framed(ipPacket("2001:db8::1", "2001:db8::2", 17, 0, ports(7, 8))),
		framed(ipPacket("10.0.0.4", "10.9.0.1", 17, 0, ports(7, 8)), 0x88a8, 3, 0x8100, 4), ppp, mpls, endless,
	} {
		shortest := 15 // that the kernel sends
		if whole[12] == 0x88 && whole[13] == 0xa8 {
			shortest = 20 // that it takes the tag off
		}
		for n := shortest; n < len(whole); n++ {
			sent = append(sent, whole[:n])
		}
	}
	eachOpener(t, func(t *testing.T, open func(LiveConfig, int) []*Live) {
		rings := open(LiveConfig{Interface: "near", RingSize: 16 << 20}, 4)
		collectRings(t, rings, func() int { capturetest.Send(t, "far", sent...); return len(sent) })
	})
}

// TestRingsCooked: without link headers too what arrives, short or not, comes by exactly one ring, and what leaves between
// the same addresses by the same.
func TestRingsCooked(t *testing.T) {
	const n, pairs = 4, 64
	for name, opener := range ringOpeners {
		t.Run(name, func(t *testing.T) {
			isolate(t)
			fd := tun(t, "tun7")
			rings, err := opener(LiveConfig{Interface: "tun7", RingSize: 16 << 20}, n)
			if err != nil {
				t.Fatal(err)
			}
			if !rings[0].cooked {
				t.Fatal("not cooked")
			}
			sent := 0
			arrive := func(p []byte) {
				if _, err := unix.Write(fd, p); err != nil {
					t.Fatal(err)
				}
				sent++
			}
			got := collectRings(t, rings, func() int {
				for i := range pairs {
					a, b := fmt.Sprintf("10.0.%d.1", i), fmt.Sprintf("10.9.0.%d", i)
					if i%2 == 1 {
						a, b = fmt.Sprintf("2001:db8:%x::1", i), fmt.Sprintf("2001:db8::%x:2", i)
					}
					arrive(ipPacket(a, b, 17, 0, ports(7, 8)))
					capturetest.Send(t, "tun7", ipPacket(b, a, 17, 0, ports(8, 7)))
					sent++
				}
				for _, whole := range [][]byte{ipPacket("10.0.0.1", "10.9.0.0", 17, 0, ports(7, 8)), ipPacket("2001:db8:1::1", "2001:db8::1:2", 17, 0, ports(7, 8))} {
					for n := 1; n < len(whole); n++ {
						arrive(whole[:n])
					}
				}
				return sent
			})
			of := map[string]int{}
			for ring, frames := range got {
				if len(frames) == 0 {
					t.Errorf("ring %d has none of %d", ring, sent)
				}
				for _, f := range frames {
					if len(f.Data) < cookedLen+60 {
						continue // too short for addresses, some of them
					}
					key := pairOf(t, append(make([]byte, 12), f.Data[cookedLen-2:]...))
					if former, ok := of[key]; ok && former != ring {
						t.Errorf("%s: rings %d and %d: % x", key, former, ring, f.Data)
					}
					of[key] = ring
				}
			}
			if len(of) != pairs {
				t.Errorf("%d pairs of addresses, want %d", len(of), pairs)
			}
			for _, l := range rings {
				l.Close()
			}
		})
	}
}

// TestPoolRings: sockets with filters are bound to one interface after the other; those that have one are not another's.
func TestPoolRings(t *testing.T) {
	isolate(t)
	p, err := NewPool(LiveConfig{RingSize: 4 << 20}, 1, 2)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for life := range 3 {
		veth(t)
		near, _ := InterfaceNamed("near")
		far, _ := InterfaceNamed("far")
		rings, err := p.Open(near)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Open(far); !errors.Is(err, ErrPoolEmpty) {
			t.Errorf("%v, want %v", err, ErrPoolEmpty)
		}
		var sent [][]byte
		for i := range 50 + life {
			sent = append(sent, framed(ipPacket(fmt.Sprintf("10.0.0.%d", i), "10.1.1.1", 17, 0, ports(i, 9))))
		}
		capturetest.Send(t, "far", sent...)
		capturetest.IP(t, "link", "del", "near")
		seen := 0
		for _, l := range rings {
			var f Frame
			for {
				err := patient(l, &f)
				if errors.Is(err, ErrGone) {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				seen++
			}
			if err := l.Close(); err != nil {
				t.Error(err)
			}
		}
		if seen != len(sent) {
			t.Errorf("life %d: %d frames of %d", life, seen, len(sent))
		}
	}
}

// TestRingsGone: all rings notice that the interface goes down, and that it is removed.
func TestRingsGone(t *testing.T) {
	eachOpener(t, func(t *testing.T, open func(LiveConfig, int) []*Live) {
		rings := open(LiveConfig{Interface: "near", RingSize: 8 << 20}, 2)
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
			if err := patient(l, &f); !errors.Is(err, ErrGone) {
				t.Errorf("removed: %v, want %v", err, ErrGone)
			}
		}
	})
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
