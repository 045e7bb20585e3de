package parquet

import (
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/caprock-net/caprock/netflow"
)

func TestAddressesAreSpelledAsNetipDoes(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for i := range 200_000 {
		var a netflow.Addr
		for k := range a {
			if rnd.IntN(3) > 0 {
				a[k] = byte(rnd.Uint32()) >> rnd.IntN(8)
			}
		}
		if i%2 == 0 {
			a = netflow.AddrFrom4([4]byte(a[12:]))
		}
		text := appendAddr(nil, &a)
		if want := a.String(); string(text) != want {
			t.Fatalf("%x is spelled %q, want %q", a, text, want)
		}
		if got, ok := parseAddr(text); !ok || got != a {
			t.Fatalf("%q is read as %v, %v", text, got, ok)
		}
	}
}

func FuzzParseAddr(f *testing.F) {
	for _, s := range []string{"10.0.0.1", "::", "::1", "1::", "2001:db8::1", "1:2:3:4:5:6:7:8", "::ffff:1.2.3.4", "fe80::1%eth0",
		"1::2::3", ":1", "1:", "01.2.3.4", "256.1.1.1", "1:2:3:4:5:6:7::", "12345::", "1.2.3", "::2:3:4:5:6:7:8"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, ok := parseAddr([]byte(s))
		a, err := netip.ParseAddr(s)
		want := err == nil && a.Zone() == "" || s == ""
		if ok != want || ok && s != "" && got != netflow.AddrFrom(a) {
			t.Errorf("%q: got %v, %v; netip: %v, %v", s, got, ok, a, err)
		}
	})
}

func TestMACs(t *testing.T) {
	for _, v := range []uint64{1, 0xffffffffffff, 0x0123456789ab} {
		text := netflow.MACFrom(v).String()
		if got, ok := parseMAC([]byte(text)); !ok || got != v {
			t.Errorf("%q is read as %x, %v", text, got, ok)
		}
	}
	for _, s := range []string{"0", "01:23:45:67:89:A", "01-23-45-67-89-ab", "01:23:45:67:89:AB"} {
		if _, ok := parseMAC([]byte(s)); ok {
			t.Errorf("%q is taken for a MAC address", s)
		}
	}
}
