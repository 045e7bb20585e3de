package filter_test

import (
	"math/rand/v2"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/caprock-net/caprock/probe/dissect"
	"github.com/caprock-net/caprock/probe/filter"
)

// TestKernelAgrees has Linux check and run the programs, on datagrams of a socket that needs no privileges.
func TestKernelAgrees(t *testing.T) {
	t.Parallel()
	const snap = 50
	r := rand.New(rand.NewPCG(7, 8))
	sample := frames(r, dissect.LinkEthernet, 300)
	buffer := make([]byte, 2048)
	for _, text := range expressions {
		f, err := filter.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		p, err := f.Compile(filter.Target{Link: dissect.LinkEthernet, SnapLen: snap})
		if err != nil {
			t.Fatal(err)
		}
		pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		code := make([]unix.SockFilter, len(p))
		for i, c := range p {
			code[i] = unix.SockFilter{Code: c.Op, Jt: c.Jt, Jf: c.Jf, K: c.K}
		}
		if err := unix.SetsockoptSockFprog(pair[1], unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(code)), Filter: &code[0]}); err != nil {
			t.Errorf("%s: the kernel refuses %d instructions: %v", text, len(p), err)
		}
		for _, frame := range sample {
			if len(frame) == 0 {
				continue
			}
			if _, err := unix.Write(pair[0], frame); err != nil {
				t.Fatal(err)
			}
			got := 0
			if n, err := unix.Read(pair[1], buffer); err == nil {
				got = n
			}
			if want := min(int(p.Run(frame, len(frame))), len(frame)); got != want {
				t.Errorf("%s: the kernel takes %d bytes, we %d, of frame %x", text, got, want, frame)
				break
			}
		}
		unix.Close(pair[0])
		unix.Close(pair[1])
	}
}
