package listen_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/caprock-net/caprock/collector/decode"
	"github.com/caprock-net/caprock/collector/listen"
)

// handler counts and keeps what it is given; hold, when not nil, stops it until the channel is closed.
type handler struct {
	hold  chan struct{}
	got   []decode.Datagram
	n     atomic.Int64
	bytes atomic.Int64
	ticks atomic.Int64
	keep  bool
}

func (h *handler) Datagrams(ds []decode.Datagram) {
	if h.hold != nil {
		<-h.hold
	}
	for _, d := range ds {
		if h.keep {
			d.Payload = append([]byte(nil), d.Payload...)
			h.got = append(h.got, d)
		}
		h.bytes.Add(int64(len(d.Payload)))
	}
	h.n.Add(int64(len(ds)))
}

func (h *handler) Tick(time.Time) { h.ticks.Add(1) }

// serve opens one socket and runs it; stop ends the run and fails the test if that takes long.
func serve(t *testing.T, address string, buffer int, h listen.Handler) (s *listen.Socket, stop func()) {
	t.Helper()
	sockets, err := listen.Listen(context.Background(), []string{address}, buffer)
	if err != nil {
		t.Fatal(err)
	}
	s = sockets[0]
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, h) }()
	stop = func() {
		t.Helper()
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("run: %v", err)
			}
			done <- nil
		case <-time.After(5 * time.Second):
			t.Fatal("does not stop")
		}
	}
	t.Cleanup(stop)
	return s, stop
}

func dial(t *testing.T, address string) *net.UDPConn {
	t.Helper()
	conn, err := net.Dial("udp", address)
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn.(*net.UDPConn)
}

func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited 5 s for %s", what)
		}
	}
}

func TestBothFamiliesOnOneSocket(t *testing.T) {
	h := &handler{keep: true}
	s, stop := serve(t, ":0", 1<<20, h)
	if runtime.GOOS == "openbsd" {
		t.Skip("one socket a family here")
	}
	before := time.Now().Add(-time.Second)
	big := make([]byte, 65507) // the most that IPv4 can carry
	for _, host := range []string{"127.0.0.1", "::1"} {
		conn := dial(t, net.JoinHostPort(host, fmt.Sprint(s.Addr().Port())))
		for i, payload := range [][]byte{[]byte("first"), {}, big} {
			if _, err := conn.Write(payload); err != nil {
				t.Fatal(err)
			}
			waitFor(t, "a datagram", func() bool { return h.n.Load()%3 == int64(i+1)%3 })
		}
		from := conn.LocalAddr().(*net.UDPAddr).AddrPort()
		defer func() {
			for _, d := range h.got {
				if d.Exporter == from {
					return
				}
			}
			t.Errorf("no datagram from %s", from)
		}()
	}
	stop()
	if len(h.got) != 6 || string(h.got[0].Payload) != "first" || len(h.got[1].Payload) != 0 || len(h.got[5].Payload) != len(big) {
		t.Fatalf("got %d datagrams", len(h.got))
	}
	for _, d := range h.got {
		if at := d.Received.Time(); at.Before(before) || at.After(time.Now().Add(time.Second)) {
			t.Errorf("received at %v", at)
		}
		if a := d.Exporter.Addr(); a != netip.MustParseAddr("127.0.0.1") && a != netip.IPv6Loopback() {
			t.Errorf("exporter %v", a)
		}
	}
	if st := s.Stats(); st.Datagrams != 6 || st.Bytes != uint64(h.bytes.Load()) || st.Truncated != 0 {
		t.Errorf("stats %+v", st)
	}
}

// The kernel's drop counter and what was handed over add up to what was sent, to the datagram, though the last drops come
// after the last datagram that got in.
func TestKernelDropsAreExact(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells a socket's drops")
	}
	h := &handler{hold: make(chan struct{})}
	s, stop := serve(t, "127.0.0.1:0", 4096, h)
	conn := dial(t, s.Addr().String())
	const sent = 5000
	for range sent {
		if _, err := conn.Write(make([]byte, 1400)); err != nil {
			t.Fatal(err)
		}
	}
	close(h.hold)
	stop()
	st := s.Stats()
	if st.Datagrams+st.KernelDrops != sent || st.KernelDrops == 0 || st.Datagrams != uint64(h.n.Load()) {
		t.Errorf("%d sent, %d handed over, %d dropped by the kernel", sent, st.Datagrams, st.KernelDrops)
	}
}

// What the kernel held when the stop came is handed over.
func TestStopDrains(t *testing.T) {
	h := &handler{hold: make(chan struct{})}
	s, stop := serve(t, "127.0.0.1:0", 4<<20, h)
	if _, got := s.ReceiveBuffer(); got < 1<<20 {
		t.Skipf("receive buffer of %d bytes", got)
	}
	conn := dial(t, s.Addr().String())
	const sent = 400
	for range sent {
		if _, err := conn.Write(make([]byte, 1400)); err != nil {
			t.Fatal(err)
		}
	}
	time.AfterFunc(50*time.Millisecond, func() { close(h.hold) })
	stop()
	if h.n.Load() != sent {
		t.Errorf("%d of %d handed over", h.n.Load(), sent)
	}
}

// A stop ends under a load that does not.
func TestStopUnderLoad(t *testing.T) {
	h := &handler{}
	s, stop := serve(t, "127.0.0.1:0", 4<<20, h)
	conn := dial(t, s.Addr().String())
	end := make(chan struct{})
	defer close(end)
	go func() {
		for {
			select {
			case <-end:
				return
			default:
				conn.Write(make([]byte, 100)) // refused once the socket is closed
			}
		}
	}()
	waitFor(t, "load", func() bool { return h.n.Load() > 1000 })
	start := time.Now()
	stop()
	if took := time.Since(start); took > time.Second {
		t.Errorf("took %v", took)
	}
}

func TestIdle(t *testing.T) {
	h := &handler{}
	_, stop := serve(t, "127.0.0.1:0", 0, h)
	time.Sleep(3 * listen.Tick)
	start := time.Now()
	stop()
	if took := time.Since(start); took > time.Second {
		t.Errorf("an idle socket took %v to stop", took)
	}
	if n := h.ticks.Load(); n < 2 || n > 6 {
		t.Errorf("%d ticks", n)
	}
}

func TestAddressErrors(t *testing.T) {
	s, _ := serve(t, "127.0.0.1:0", 0, &handler{})
	if _, err := listen.Listen(context.Background(), []string{"127.0.0.1:0", s.Addr().String()}, 0); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("port in use: %v", err)
	}
	for _, address := range []string{"2055", "127.0.0.1:70000", "192.0.2.1:0"} {
		if _, err := listen.Listen(context.Background(), []string{address}, 0); err == nil {
			t.Errorf("%s: no error", address)
		}
	}
}

func TestReceiveBufferGot(t *testing.T) {
	if runtime.GOOS != "linux" || os.Getuid() != 0 {
		t.Skip("only a privileged process on Linux is sure to get more than net.core.rmem_max")
	}
	s, _ := serve(t, "127.0.0.1:0", 32<<20, &handler{})
	if asked, got := s.ReceiveBuffer(); asked != 32<<20 || got != asked {
		t.Logf("asked for %d, got %d: SO_RCVBUFFORCE needs CAP_NET_ADMIN in the first user namespace", asked, got)
	}
}
