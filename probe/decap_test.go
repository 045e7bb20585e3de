package probe_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"strings"
	"testing"

	"github.com/caprock-net/caprock/netflow/pcapfile"
	"github.com/caprock-net/caprock/probe"
	"github.com/caprock-net/caprock/probe/dissect"
)

// ipv4 makes a packet; field has the flags and the offset of a fragment.
func ipv4(src byte, proto byte, id, field uint16, payload []byte) []byte {
	b := binary.BigEndian.AppendUint16([]byte{0x45, 0}, uint16(20+len(payload)))
	b = binary.BigEndian.AppendUint16(b, id)
	b = binary.BigEndian.AppendUint16(b, field)
	b = append(b, 64, proto, 0, 0, 10, 0, 0, src, 10, 0, 0, 200)
	return append(b, payload...)
}

func udp(src, dst uint16, payload []byte) []byte {
	b := binary.BigEndian.AppendUint16(nil, src)
	b = binary.BigEndian.AppendUint16(b, dst)
	b = binary.BigEndian.AppendUint16(b, uint16(8+len(payload)))
	return append(append(b, 0, 0), payload...)
}

func ethernet(etherType uint16, payload []byte) []byte {
	return append(binary.BigEndian.AppendUint16([]byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2}, etherType), payload...)
}

func vxlan(src byte, port uint16, frame []byte) []byte {
	return ethernet(0x0800, ipv4(src, 17, 1, 0, udp(port, 4789, append([]byte{8, 0, 0, 0, 0, 0, 42, 0}, frame...))))
}

// writeFrames makes a capture of frames a millisecond apart.
func writeFrames(t *testing.T, frames ...[]byte) string {
	t.Helper()
	var b bytes.Buffer
	w, err := pcapfile.NewWriter(&b, uint16(dissect.LinkEthernet))
	if err != nil {
		t.Fatal(err)
	}
	for i, frame := range frames {
		if err := w.Write(pcapfile.Frame{Time: 1e18 + int64(i)*1e6, WireLen: len(frame), LinkType: uint16(dissect.LinkEthernet), Data: frame}); err != nil {
			t.Fatal(err)
		}
	}
	return writeFile(t, "frames.pcap", b.Bytes())
}

// packets runs a probe over a capture; Portless and the like are in its summary, and in the text of it as well.
func packets(t *testing.T, name string, decap dissect.Tunnels, ports bool) probe.Summary {
	t.Helper()
	cfg := filesConfig(name)
	cfg.Decap, cfg.FragmentPorts = decap, ports
	s, err := run(t, cfg)
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	if err := s.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	for line, n := range map[string]uint64{"out of tunnels": s.Packets.Tunnelled, "not followed": s.Packets.NotFollowed, "without ports": s.Packets.Portless} {
		if strings.Contains(text.String(), line) != (n > 0) {
			t.Errorf("%d packets, and the summary says of %q:\n%s", n, line, &text)
		}
	}
	return s
}

// TestDecap meters tunnels by what is in them, or not.
func TestDecap(t *testing.T) {
	inner := ethernet(0x0800, ipv4(1, 17, 1, 0, udp(1000, 53, make([]byte, 12)))) // 40 IP bytes
	name := writeFrames(t,
		vxlan(2, 50001, inner), vxlan(2, 50002, inner), vxlan(3, 50003, inner), // 90 IP bytes each
		vxlan(2, 50004, ethernet(0x0806, make([]byte, 28))),     // ARP: 78
		ethernet(0x0800, ipv4(4, 17, 1, 0, udp(1000, 53, nil))), // no tunnel: 28
		ethernet(0x8847, append([]byte{0, 6, 0x51, 64, 0, 0, 0, 0}, inner...)),
		ethernet(0x0806, make([]byte, 28)),
	)
	for _, c := range []struct {
		decap dissect.Tunnels
		want  string
		flows uint64
	}{
		{0, `{"metered":5,"non_ip":2,"ip_bytes":376,"tunnelled":0,"not_followed":0}`, 5},
		{dissect.GRE, `{"metered":5,"non_ip":2,"ip_bytes":376,"tunnelled":0,"not_followed":0}`, 5},
		{dissect.VXLAN, `{"metered":5,"non_ip":2,"ip_bytes":226,"tunnelled":3,"not_followed":1}`, 3},
		{dissect.MPLS, `{"metered":6,"non_ip":1,"ip_bytes":416,"tunnelled":1,"not_followed":0}`, 6},
		{dissect.AllTunnels, `{"metered":6,"non_ip":1,"ip_bytes":266,"tunnelled":4,"not_followed":1}`, 3},
	} {
		s := packets(t, name, c.decap, true)
		if got := pick(t, &s, "metered", "non_ip", "ip_bytes", "tunnelled", "not_followed"); got != c.want || s.Flows.Ended.Flows != c.flows {
			t.Errorf("%v: %s and %d flows, want %s and %d", c.decap, got, s.Flows.Ended.Flows, c.want, c.flows)
		}
	}
}

// pick returns some of the figures about packets, as the JSON of the summary has them.
func pick(t *testing.T, s *probe.Summary, names ...string) string {
	t.Helper()
	text, err := json.Marshal(s.Packets)
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	out := "{"
	for i, name := range names {
		if i > 0 {
			out += ","
		}
		out += `"` + name + `":` + string(all[name])
	}
	return out + "}"
}

// TestFragmentPorts: all fragments of a datagram are in one flow, when its first came first.
func TestFragmentPorts(t *testing.T) {
	datagram := udp(1000, 53, make([]byte, 40))
	fragment := func(id uint16, from, to int) []byte {
		field := uint16(from / 8)
		if to < len(datagram) {
			field |= 0x2000
		}
		return ethernet(0x0800, ipv4(1, 17, id, field, datagram[from:to]))
	}
	name := writeFrames(t,
		ethernet(0x0800, ipv4(1, 17, 1, 0, datagram)),
		fragment(7, 0, 16), fragment(7, 16, 32), fragment(7, 32, 48),
		fragment(8, 16, 32), fragment(8, 0, 16), fragment(8, 32, 48), // one of them too early
	)
	for _, c := range []struct {
		ports           bool
		flows, portless uint64
	}{{true, 2, 1}, {false, 2, 0}} {
		s := packets(t, name, 0, c.ports)
		if s.Packets.Metered != 7 || s.Flows.Ended.Flows != c.flows || s.Packets.Portless != c.portless {
			t.Errorf("%v: %+v, %d flows", c.ports, s.Packets, s.Flows.Ended.Flows)
		}
	}
	name = writeFrames(t, fragment(7, 0, 16), fragment(7, 16, 32), fragment(7, 32, 48))
	if s := packets(t, name, 0, true); s.Flows.Ended.Flows != 1 {
		t.Errorf("%d flows, want 1", s.Flows.Ended.Flows)
	}
	if s := packets(t, name, 0, false); s.Flows.Ended.Flows != 2 {
		t.Errorf("%d flows, want 2", s.Flows.Ended.Flows)
	}
}

// TestDecapFragments: of an outer packet in fragments the first is looked into, the later ones are known for what they are.
// Inner fragments are joined as others are.
func TestDecapFragments(t *testing.T) {
	inner := ethernet(0x0800, ipv4(1, 17, 1, 0, udp(1000, 53, make([]byte, 100))))
	outer := udp(50001, 4789, append([]byte{8, 0, 0, 0, 0, 0, 42, 0}, inner...))
	s := packets(t, writeFrames(t, ethernet(0x0800, ipv4(2, 17, 9, 0x2000, outer[:80])), ethernet(0x0800, ipv4(2, 17, 9, 10, outer[80:]))), dissect.VXLAN, true)
	if p := s.Packets; p.Metered != 2 || p.Tunnelled != 1 || p.NotFollowed != 1 || p.Portless != 0 || s.Flows.Ended.Flows != 2 {
		t.Errorf("%+v, %d flows", p, s.Flows.Ended.Flows)
	}
	datagram := udp(1000, 53, make([]byte, 40))
	s = packets(t, writeFrames(t, vxlan(2, 50001, ethernet(0x0800, ipv4(1, 17, 5, 0x2000, datagram[:24]))), vxlan(2, 50001, ethernet(0x0800, ipv4(1, 17, 5, 3, datagram[24:])))), dissect.VXLAN, true)
	if p := s.Packets; p.Tunnelled != 2 || p.Portless != 0 || s.Flows.Ended.Flows != 1 {
		t.Errorf("%+v, %d flows", p, s.Flows.Ended.Flows)
	}
}
