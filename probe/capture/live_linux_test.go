package capture

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/caprock-net/caprock/probe/capture/capturetest"
	"github.com/caprock-net/caprock/probe/dissect"
)

// isolate moves the test into a network namespace of its own, which vanishes with it.
func isolate(t *testing.T) {
	t.Helper()
	if unix.Geteuid() != 0 {
		t.Skip("needs root: network namespaces and packet sockets")
	}
	runtime.LockOSThread() // and never unlocked: the thread ends with the test, and its namespace with it
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Skipf("no network namespaces: %v", err)
	}
}

// veth makes a pair of interfaces, near and far, without any traffic of their own.
func veth(t *testing.T) {
	t.Helper()
	capturetest.IP(t, "link", "add", "near", "type", "veth", "peer", "name", "far")
	for _, name := range []string{"near", "far"} {
		capturetest.IP(t, "link", "set", name, "addrgenmode", "none", "up")
	}
	waitUp(t, "near")
	waitUp(t, "far")
}

// waitUp waits until an interface has noticed that its peer is up. What is sent before is lost.
func waitUp(t *testing.T, name string) {
	t.Helper()
	for until := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		out, err := exec.Command("ip", "-o", "link", "show", name).CombinedOutput()
		if err == nil && bytes.Contains(out, []byte("state UP")) {
			return
		}
		if time.Now().After(until) {
			t.Fatalf("%s does not come up: %v: %s", name, err, out)
		}
	}
}

// ethernet makes a frame of 64 bytes and more with a number in it. Each tag is TPID and TCI.
func ethernet(number int, size int, tags ...uint16) []byte {
	b := []byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2}
	for _, tag := range tags {
		b = binary.BigEndian.AppendUint16(b, tag)
	}
	b = binary.BigEndian.AppendUint16(b, 0x0800)
	b = append(b, 0x45, 0, 0, byte(size))
	b = binary.BigEndian.AppendUint32(b, uint32(number))
	return append(b, make([]byte, size)...)
}

func open(t *testing.T, cfg LiveConfig) *Live {
	t.Helper()
	l, err := OpenLive(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// collect stops the capture and returns what it has seen.
func collect(t *testing.T, l *Live) []Frame {
	t.Helper()
	l.Stop()
	return drain(t, l)
}

// drain reads until the capture is stopped.
func drain(t *testing.T, l *Live) []Frame {
	t.Helper()
	var all []Frame
	var f Frame
	for {
		switch err := l.Next(&f); err {
		case nil:
			f.Data = bytes.Clone(f.Data)
			all = append(all, f)
		case io.EOF:
			return all
		case ErrIdle:
		default:
			t.Error(err)
			return all
		}
	}
}

// TestLive: every frame comes once, in order, as it was sent, also those that were under way at Stop.
func TestLive(t *testing.T) {
	isolate(t)
	veth(t)
	l := open(t, LiveConfig{Interface: "near", RingSize: 8 << 20, Promiscuous: true})
	var sent [][]byte
	for i := range 20_000 { // more than the first block holds
		sent = append(sent, ethernet(i, 60+i%150))
	}
	before := time.Now()
	read := make(chan []Frame)
	go func() { read <- drain(t, l) }() // meanwhile: the ring holds eight times 10 ms, however few the frames
	capturetest.Send(t, "far", sent...)
	l.Stop()
	got := <-read
	s := l.Stats()
	// On a busy machine some may be lost on the wire, that is in the kernel's backlog: those never arrived.
	if s.Dropped != 0 || s.Duplicate != 0 || s.Interface == nil || s.Interface.RxPackets != uint64(len(got)) || len(got) < len(sent)/10 {
		t.Fatalf("%d frames of %d; stats %+v %+v", len(got), len(sent), s, s.Interface)
	}
	last := -1
	for i, f := range got {
		number := int(binary.BigEndian.Uint32(f.Data[18:]))
		if number <= last || number >= len(sent) {
			t.Fatalf("frame %d after %d", number, last)
		}
		last = number
		if !bytes.Equal(f.Data, sent[number]) || f.WireLen != len(sent[number]) || f.Link != dissect.LinkEthernet || f.Interface != uint32(l.Index()) {
			t.Fatalf("frame %d: %+v, want % x", i, f, sent[number])
		}
		if at := f.Time.Time(); at.Before(before.Add(-time.Millisecond)) || at.After(time.Now()) {
			t.Fatalf("frame %d: time %v, want one since %v", i, at, before)
		}
	}
}

// TestLiveAround: the ring goes around several times while it is being read.
func TestLiveAround(t *testing.T) {
	isolate(t)
	veth(t)
	l := open(t, LiveConfig{Interface: "near", RingSize: MinRingSize})
	const rounds, each = 40, 1000 // about 300 KiB a round
	seen := 0
	for range rounds {
		var sent [][]byte
		for i := range each {
			sent = append(sent, ethernet(i, 200))
		}
		capturetest.Send(t, "far", sent...)
		var f Frame
		for n := 0; n < each; {
			if err := l.Next(&f); err == ErrIdle {
				break
			} else if err != nil {
				t.Fatal(err)
			}
			n++
			seen++
		}
	}
	seen += len(collect(t, l))
	if s := l.Stats(); s.Interface == nil || seen+int(s.Dropped) != int(s.Interface.RxPackets) || seen < each {
		t.Errorf("%d frames and %d dropped of %d sent, %+v", seen, s.Dropped, rounds*each, s.Interface)
	}
}

// TestLiveDrops: what does not fit into the ring is counted to the packet.
func TestLiveDrops(t *testing.T) {
	isolate(t)
	veth(t)
	l := open(t, LiveConfig{Interface: "near", RingSize: MinRingSize})
	var sent [][]byte
	for i := range 30_000 {
		sent = append(sent, ethernet(i, 200))
	}
	capturetest.Send(t, "far", sent...)
	got := collect(t, l)
	for range 2 { // reading the counter does not lose it
		if s := l.Stats(); s.Interface == nil || s.Dropped == 0 || len(got)+int(s.Dropped) != int(s.Interface.RxPackets) {
			t.Errorf("%d frames and %d dropped of %d sent, %+v", len(got), s.Dropped, len(sent), s.Interface)
		}
	}
}

// TestLiveVLAN: the kernel takes the outer tag off every frame; it must be back.
func TestLiveVLAN(t *testing.T) {
	isolate(t)
	veth(t)
	sent := [][]byte{
		ethernet(1, 60), ethernet(2, 60, 0x8100, 42), ethernet(3, 60, 0x88a8, 0x6000|7), ethernet(4, 60, 0x88a8, 100, 0x8100, 200), ethernet(5, 60, 0x8100, 0),
	}
	l := open(t, LiveConfig{Interface: "near", RingSize: MinRingSize, SnapLen: MaxSnapLen})
	capturetest.Send(t, "far", sent...)
	got := collect(t, l)
	if len(got) != len(sent) {
		t.Fatalf("%d frames of %d", len(got), len(sent))
	}
	for i, f := range got {
		if !bytes.Equal(f.Data, sent[i]) || f.WireLen != len(sent[i]) {
			t.Errorf("frame %d:\ngot  % x (%d)\nwant % x (%d)", i, f.Data, f.WireLen, sent[i], len(sent[i]))
		}
	}
}

func TestLiveSnapLen(t *testing.T) {
	isolate(t)
	veth(t)
	l := open(t, LiveConfig{Interface: "near", RingSize: MinRingSize, SnapLen: 64})
	frame := ethernet(1, 1000)
	capturetest.Send(t, "far", frame)
	got := collect(t, l)
	if len(got) != 1 || !bytes.Equal(got[0].Data, frame[:64]) || got[0].WireLen != len(frame) {
		t.Errorf("got %+v, want the first 64 of %d bytes", got, len(frame))
	}
}

// TestLoopback: every packet passes twice there, and is seen once.
func TestLoopback(t *testing.T) {
	isolate(t)
	capturetest.IP(t, "link", "set", "lo", "up")
	for _, name := range []string{"lo", "any"} {
		l := open(t, LiveConfig{Interface: name, RingSize: MinRingSize, Promiscuous: true})
		listener, err := net.ListenPacket("udp", "127.0.0.1:9")
		if err != nil {
			t.Fatal(err)
		}
		conn, err := net.Dial("udp", "127.0.0.1:9")
		if err != nil {
			t.Fatal(err)
		}
		const packets = 10
		for range packets {
			if _, err := conn.Write([]byte("hello")); err != nil {
				t.Fatal(err)
			}
		}
		conn.Close()
		listener.Close()
		lo, err := net.InterfaceByName("lo")
		if err != nil {
			t.Fatal(err)
		}
		udp := 0
		for _, f := range collect(t, l) {
			var p dissect.Packet
			if v := dissect.Dissect(f.Link, f.Data, f.WireLen, &p); v != dissect.OK || f.Interface != uint32(lo.Index) {
				t.Errorf("%s: verdict %v of %+v", name, v, f)
			}
			if p.Proto == 17 && p.DstPort == 9 {
				udp++
			}
		}
		if s := l.Stats(); udp != packets || s.Duplicate < packets {
			t.Errorf("%s: %d packets and %d copies left out, want %d and no fewer", name, udp, s.Duplicate, packets)
		}
	}
}

// tun makes an interface without link headers, and returns what its frames arrive from.
func tun(t *testing.T, name string) (fd int) {
	t.Helper()
	capturetest.IP(t, "tuntap", "add", "dev", name, "mode", "tun")
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	req, err := unix.NewIfreq(name)
	if err != nil {
		t.Fatal(err)
	}
	req.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, req); err != nil {
		t.Skip(err)
	}
	capturetest.IP(t, "link", "set", name, "addrgenmode", "none", "up")
	return fd
}

// TestTun: an interface without link header.
func TestTun(t *testing.T) {
	isolate(t)
	fd := tun(t, "tun7")
	l := open(t, LiveConfig{Interface: "tun7", RingSize: MinRingSize, Promiscuous: true})
	packet := []byte{0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2, 0, 7, 0, 9, 0, 8, 0, 0}
	if _, err := unix.Write(fd, packet); err != nil {
		t.Fatal(err)
	}
	got := collect(t, l)
	if len(got) != 1 {
		t.Fatalf("%d frames, want 1", len(got))
	}
	var p dissect.Packet
	if v := dissect.Dissect(got[0].Link, got[0].Data, got[0].WireLen, &p); v != dissect.OK || p.IPBytes != 28 || p.SrcPort != 7 || p.DstPort != 9 {
		t.Errorf("verdict %v, %+v", v, p)
	}
}

// patient is Next, which on a busy machine may find nothing for seconds.
func patient(l *Live, f *Frame) (err error) {
	for range 300 {
		if err = l.Next(f); err != ErrIdle {
			break
		}
	}
	return err
}

// TestDownUpGone: an interface that goes down is waited for, one that is removed is an error.
func TestDownUpGone(t *testing.T) {
	isolate(t)
	veth(t)
	l := open(t, LiveConfig{Interface: "near", RingSize: MinRingSize})
	var f Frame
	next := func() error { return patient(l, &f) }
	capturetest.IP(t, "link", "set", "near", "down")
	for range 5 {
		if err := l.Next(&f); err != ErrIdle {
			t.Fatalf("down: %v, want %v", err, ErrIdle)
		}
	}
	if s := l.Stats(); s.Downs != 1 {
		t.Errorf("%d times down, want 1", s.Downs)
	}
	capturetest.IP(t, "link", "set", "near", "up")
	waitUp(t, "far")
	capturetest.Send(t, "far", ethernet(1, 60))
	if err := next(); err != nil {
		t.Fatalf("up again: %v", err)
	}
	capturetest.IP(t, "link", "set", "near", "name", "renamed")
	capturetest.Send(t, "far", ethernet(2, 60))
	if err := next(); err != nil {
		t.Fatalf("renamed: %v", err)
	}
	capturetest.IP(t, "link", "del", "renamed")
	if err := next(); !errors.Is(err, ErrGone) || !strings.Contains(err.Error(), "near") {
		t.Errorf("removed: %v, want %v", err, ErrGone)
	}
}

// TestGone: what came before the interface was removed is delivered before the error, also when it had been down.
func TestGone(t *testing.T) {
	isolate(t)
	var sent [][]byte
	for i := range 100 {
		sent = append(sent, ethernet(i, 60))
	}
	for _, downFirst := range []bool{false, true} {
		veth(t)
		l := open(t, LiveConfig{Interface: "near", RingSize: MinRingSize})
		var f Frame
		seen := 0
		next := func() error { return patient(l, &f) }
		capturetest.Send(t, "far", sent...)
		if downFirst {
			capturetest.IP(t, "link", "set", "near", "down")
			for l.Stats().Downs == 0 {
				if err := l.Next(&f); err == nil {
					seen++
				} else if err != ErrIdle {
					t.Fatal(err)
				}
			}
		}
		capturetest.IP(t, "link", "del", "near")
		err := next()
		for ; err == nil; err = next() {
			seen++
		}
		if !errors.Is(err, ErrGone) || seen != len(sent) {
			t.Errorf("down first %t: %d frames of %d, error %v", downFirst, seen, len(sent), err)
		}
	}
}

func TestNoInterface(t *testing.T) {
	isolate(t)
	_, err := OpenLive(LiveConfig{Interface: "nowhere0"})
	if err == nil || !strings.Contains(err.Error(), "nowhere0: no such network interface") {
		t.Errorf("error %v", err)
	}
}

func TestNoPermission(t *testing.T) {
	err := fmt.Errorf("socket: %w", permission(unix.EPERM))
	if !errors.Is(err, unix.EPERM) || !strings.Contains(err.Error(), "setcap cap_net_raw+ep") {
		t.Errorf("error %v, want advice", err)
	}
}
