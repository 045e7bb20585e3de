package capture

import (
	"encoding/binary"
	"net"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/caprock-net/caprock/probe/capture/capturetest"
	"github.com/caprock-net/caprock/probe/dissect"
)

// TestAnyVLAN: with "any" the kernel takes off the link header and one tag, and says of the others nothing, or not the
// truth.
func TestAnyVLAN(t *testing.T) {
	isolate(t)
	veth(t)
	capturetest.IP(t, "link", "set", "near", "mtu", "9000")
	capturetest.IP(t, "link", "set", "far", "mtu", "9000")
	type want struct {
		vlan, customer uint16
		bytes          uint32
	}
	cases := []struct {
		frame []byte
		want
	}{
		{ethernet(1, 60), want{0, 0, 60}},
		{ethernet(2, 60, 0x8100, 42), want{42, 0, 60}},
		{ethernet(3, 60, 0x88a8, 0x6000|7), want{7, 0, 60}},
		{ethernet(4, 60, 0x88a8, 100, 0x8100, 200), want{100, 200, 60}},
		{ethernet(5, 60, 0x8100, 100, 0x8100, 0x4000|0x500), want{100, 0x500, 60}}, // looks like IPv4
		{ethernet(6, 60, 0x8100, 1, 0x8100, 2, 0x8100, 3), want{1, 2, 60}},
		{ethernet(7, 60, 0x88a8, 100, 0x88a8, 200), want{100, 200, 60}},
		{ethernet(8, 60, 0x9100, 100, 0x8100, 200), want{100, 200, 60}},
		{ethernet(9, 2048, 0x8100, 42), want{42, 0, 2048}}, // a length like an EtherType
		{ethernet(10, 2048, 0x8100, 42, 0x8100, 43), want{42, 43, 2048}},
		{ethernet(11, 2044, 0x8100, 42, 0x8100, 0x4000|0x501), want{42, 0x501, 2044}},
	}
	near, err := net.InterfaceByName("near")
	if err != nil {
		t.Fatal(err)
	}
	l := open(t, LiveConfig{Interface: "any", RingSize: 64 << 20, SnapLen: MaxSnapLen}) // 64 blocks, of 10 ms at least
	for i := range cases {
		c := &cases[i]
		c.frame = c.frame[:len(c.frame)-8] // which makes the packet as long as it is to say
		binary.BigEndian.PutUint16(c.frame[len(c.frame)-int(c.bytes)+2:], uint16(c.bytes))
	}
	var frames [][]byte
	for _, c := range cases {
		frames = append(frames, c.frame)
	}
	capturetest.Send(t, "far", frames...)
	seen := 0
	for _, f := range collect(t, l) {
		var p dissect.Packet
		v := dissect.Dissect(f.Link, f.Data, f.WireLen, &p)
		if f.Interface != uint32(near.Index) {
			continue // leaving far: there the kernel leaves out the tags behind the first
		}
		c := cases[seen]
		seen++
		if got := (want{p.VLAN, p.CustomerVLAN, p.IPBytes}); v != dissect.OK || got != c.want {
			t.Errorf("frame %d: %v %+v, want %+v\n% x", seen, v, got, c.want, f.Data[:48])
		}
	}
	if seen != len(cases) {
		t.Errorf("%d frames, want %d", seen, len(cases))
	}
}

// TestTagInFront has what no test on a wire can make at will.
func TestTagInFront(t *testing.T) {
	six := append([]byte{0x60, 0, 0x86, 0xdd, 0x05, 0xdc, 17, 64}, make([]byte, 32)...) // a flow label like an EtherType
	for name, c := range map[string]struct {
		protocol uint16
		b        []byte
		length   int
		want     bool
	}{
		"flow label":       {unix.ETH_P_IPV6, six, 40 + 1500, false},
		"tag, IPv6":        {unix.ETH_P_IPV6, append([]byte{0x60, 5, 0x86, 0xdd}, six...), 4 + 40 + 1500, true},
		"jumbogram":        {unix.ETH_P_IPV6, append([]byte{0x60, 0, 0x86, 0xdd, 0, 0}, six[6:]...), 100_000, false},
		"arp":              {unix.ETH_P_ARP, []byte{0, 1, 8, 0, 6, 4, 0, 1}, 28, false},
		"tag, arp":         {unix.ETH_P_ARP, []byte{0, 9, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1}, 32, true},
		"named by old one": {unix.ETH_P_8021Q, []byte{0, 9, 8, 0, 0x45, 0}, 64, false},
		"cut":              {unix.ETH_P_IP, []byte{0, 9, 8, 0}, 64, false},
		"nothing":          {unix.ETH_P_IP, nil, 0, false},
	} {
		if got := tagInFront(c.protocol, c.b, c.length); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
