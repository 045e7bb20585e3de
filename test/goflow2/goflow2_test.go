package goflow2

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/netsampler/goflow2/v2/decoders/netflow"
	"github.com/netsampler/goflow2/v2/decoders/netflowlegacy"
	"github.com/netsampler/goflow2/v2/producer"
	protoproducer "github.com/netsampler/goflow2/v2/producer/proto"
)

// exportgen is the program that sends.
var exportgen string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "caprock-goflow2-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		exportgen = filepath.Join(dir, "exportgen")
		build := exec.Command("go", "build", "-buildvcs=false", "-o", exportgen, "./test/exportgen")
		build.Dir = filepath.Join("..", "..")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "build: %v\n%s", err, out)
			return 1
		}
		return m.Run()
	}())
}

// flow is a line of exportgen's list.
type flow struct {
	Start, End                                       int64
	SrcAddr, DstAddr, NextHop                        string
	SrcPort, DstPort, TCPFlags, ReverseTCPFlags      uint16
	Proto, TOS, IPVersion, EndReason, Direction      uint8
	ICMPType, ICMPCode, SrcMask, DstMask, Forwarding uint8
	Packets, Bytes, ReversePackets, ReverseBytes     uint64
	Input, Output, SrcAS, DstAS                      uint32
	VLAN                                             uint16
	SrcMAC, DstMAC                                   uint64

	CustomerVLAN                                  uint16
	MPLSLabel, TunnelID, MinLength, MaxLength     uint32
	FragmentFlags, MinTTL, MaxTTL                 uint8
	TCPRTT, TCPRetransmits, ReverseTCPRetransmits uint32
	TunnelSrcAddr, TunnelDstAddr                  string
	TunnelProto, TunnelType                       uint8
}

// export runs exportgen, and returns its list by the bytes of each flow, and the datagrams that it sent.
func export(t *testing.T, args ...string) (flows map[uint64]flow, datagrams [][]byte) {
	t.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetReadBuffer(8 << 20)
	cmd := exec.Command(exportgen, append([]string{"-to", conn.LocalAddr().String()}, args...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output() // the kernel holds what it sends
	if err != nil {
		t.Fatalf("%v: %v", cmd.Args, err)
	}
	flows = map[uint64]flow{}
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		var f flow
		if err := json.Unmarshal(lines.Bytes(), &f); err != nil {
			t.Fatal(err)
		}
		flows[f.Bytes] = f
	}
	buf := make([]byte, 1<<16)
	for {
		conn.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
		n, err := conn.Read(buf)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return flows, datagrams
		}
		if err != nil {
			t.Fatal(err)
		}
		datagrams = append(datagrams, bytes.Clone(buf[:n]))
	}
}

// judge has goflow2 decode datagrams, one after the other.
type judge struct {
	templates netflow.NetFlowTemplateSystem
	producer  producer.ProducerInterface

	messages []*protoproducer.ProtoProducerMessage
	records  [][]netflow.DataField
	options  []netflow.OptionsDataRecord
	layouts  map[uint16]bool // templates that had data
}

func newJudge(t *testing.T) *judge {
	t.Helper()
	cfg, err := (&protoproducer.ProducerConfig{}).Compile()
	if err != nil {
		t.Fatal(err)
	}
	p, err := protoproducer.CreateProtoProducer(cfg, protoproducer.CreateSamplingSystem)
	if err != nil {
		t.Fatal(err)
	}
	return &judge{templates: netflow.CreateTemplateSystem(), producer: p, layouts: map[uint16]bool{}}
}

func (j *judge) decode(t *testing.T, datagram []byte) {
	t.Helper()
	var packet any
	var sets []any
	switch binary.BigEndian.Uint16(datagram) {
	case 5:
		p := &netflowlegacy.PacketNetFlowV5{}
		if err := netflowlegacy.DecodeMessageVersion(bytes.NewBuffer(datagram), p); err != nil {
			t.Fatalf("goflow2: %v", err)
		}
		packet = p
	default:
		var nine netflow.NFv9Packet
		var ten netflow.IPFIXPacket
		if err := netflow.DecodeMessageVersion(bytes.NewBuffer(datagram), j.templates, &nine, &ten); err != nil {
			t.Fatalf("goflow2: %v", err)
		}
		if nine.Version == 9 {
			packet, sets = &nine, nine.FlowSets
		} else {
			packet, sets = &ten, ten.FlowSets
		}
	}
	for _, s := range sets {
		switch set := s.(type) {
		case netflow.DataFlowSet:
			j.layouts[set.Id] = true
			for _, r := range set.Records {
				j.records = append(j.records, r.Values)
			}
		case netflow.OptionsDataFlowSet:
			j.options = append(j.options, set.Records...)
		case netflow.RawFlowSet:
			t.Fatalf("goflow2 has no template for set %d", set.Id)
		}
	}
	made, err := j.producer.Produce(packet, &producer.ProduceArgs{Src: netip.MustParseAddrPort("127.0.0.1:2055"), SamplerAddress: netip.MustParseAddr("127.0.0.1")})
	if err != nil {
		t.Fatalf("goflow2's producer: %v", err)
	}
	for _, m := range made {
		j.messages = append(j.messages, m.(*protoproducer.ProtoProducerMessage))
	}
}

func TestGoflow2ReadsEveryLayout(t *testing.T) {
	tests := []struct {
		protocol string
		layouts  int // of flows with addresses; each has a template
		args     []string
	}{
		{"ipfix", 32, nil}, // families, ICMP, link, route, both directions
		{"v9", 16, nil},    // the same without both directions
		{"v5", 0, nil},
		{"ipfix", 48, []string{"-tcp-metrics"}}, // half of the layouts, those without ICMP, are there twice
		{"v9", 24, []string{"-tcp-metrics"}},
	}
	for _, tt := range tests {
		for _, sampling := range []uint32{0, 100} {
			t.Run(fmt.Sprintf("%s%s, sampling %d", tt.protocol, tt.args, sampling), func(t *testing.T) {
				flows, datagrams := export(t, append(tt.args, "-protocol", tt.protocol, "-sampling", fmt.Sprint(sampling))...)
				j := newJudge(t)
				for _, d := range datagrams {
					j.decode(t, d)
				}
				want := expected(tt.protocol, flows)
				if len(want) < 200 || len(j.messages) != len(want) {
					t.Errorf("goflow2 makes %d flows, want %d", len(j.messages), len(want))
				}
				if len(j.layouts) != tt.layouts {
					t.Errorf("goflow2 saw data of %d templates, want %d", len(j.layouts), tt.layouts)
				}
				for _, m := range j.messages {
					f, ok := want[m.Bytes]
					if !ok {
						t.Fatalf("goflow2 makes a flow that was not sent: %v", &m.FlowMessage)
					}
					compareMessage(t, tt.protocol, m, f, sampling)
				}
				for _, r := range j.records {
					compareFields(t, tt.protocol, r, want)
				}
				if options := len(j.options) > 0; options != (sampling > 0 && tt.protocol != "v5") {
					t.Errorf("sampling %d: options data %v", sampling, j.options)
				}
			})
		}
	}
}

// TestGoflow2ReadsChosenFields: every element that there is to choose, and a few lists as people would give them.
func TestGoflow2ReadsChosenFields(t *testing.T) {
	for _, protocol := range []string{"ipfix", "v9"} {
		for _, list := range []string{"every", "all", "default", "default,minimumTTL,maximumTTL,mplsTopLabelStackSection", "bytes,packets,flowEndNanoseconds,src_addr"} {
			t.Run(protocol+" "+list, func(t *testing.T) {
				flows, datagrams := export(t, "-protocol", protocol, "-fields", list, "-mtu", "1400")
				j := newJudge(t)
				for _, d := range datagrams {
					j.decode(t, d)
				}
				want := expected(protocol, flows)
				if len(j.messages) != len(want) || len(j.records) != len(want) {
					t.Errorf("goflow2 makes %d flows of %d records, want %d", len(j.messages), len(j.records), len(want))
				}
				elements := map[[2]uint32]bool{}
				for _, r := range j.records {
					compareFields(t, protocol, r, want)
					for _, x := range r {
						elements[[2]uint32{x.Pen, uint32(x.Type)}] = true
					}
				}
				if list == "every" && len(elements) < 49 { // of v9; IPFIX has a few more
					t.Errorf("%d elements, want all", len(elements))
				}
			})
		}
	}
}

// TestGoflow2ReadsOptions: goflow2 finds what we tell about ourselves, loses no flow by it, and still knows the sampling rate.
func TestGoflow2ReadsOptions(t *testing.T) {
	type key struct {
		scope uint64 // value of the first one
		id    uint16
	}
	tests := []struct {
		protocol string
		want     map[key]any
	}{
		{"ipfix", map[key]any{
			{1, 82}: "eth0", {1, 83}: "to the ridge", {70_001, 82}: "ppp17", {70_001, 83}: "",
			{0, 34}: uint64(100), {0, 35}: uint64(1), {0, 164}: uint64(5),
			{1, 166}: uint64(0), {1, 167}: uint64(0), {1, 168}: uint64(0), {1, 160}: uint64(1_780_000_000_123 - 86_400_000),
		}},
		{"v9", map[key]any{
			{1, 82}: "eth0", {1, 83}: "to the ridge", {70_001, 82}: "ppp17", {70_001, 83}: "", {0, 34}: uint64(100), {0, 35}: uint64(1),
		}},
	}
	for _, tt := range tests {
		t.Run(tt.protocol, func(t *testing.T) {
			flows, datagrams := export(t, "-protocol", tt.protocol, "-sampling", "100", "-options", "sampling,interfaces,statistics,system")
			j := newJudge(t)
			var length uint64
			for i, d := range datagrams {
				options := len(j.options)
				messages := len(j.messages)
				j.decode(t, d)
				for _, r := range j.options[options:] {
					for _, x := range r.OptionsValues { // what was sent before this announcement, or a few datagrams of it
						switch v := number(x.Value.([]byte)); x.Type {
						case 40:
							if v > length || v+3000 < length {
								t.Errorf("datagram %d: %d bytes exported, want about %d", i, v, length)
							}
						case 42:
							if v != uint64(messages) {
								t.Errorf("datagram %d: %d flows exported, want %d", i, v, messages)
							}
						}
					}
				}
				length += uint64(len(d))
			}
			if want := expected(tt.protocol, flows); len(j.messages) != len(want) {
				t.Errorf("goflow2 makes %d flows, want %d", len(j.messages), len(want))
			}
			for _, m := range j.messages {
				if m.SamplingRate != 100 {
					t.Fatalf("goflow2 takes %d for the sampling rate", m.SamplingRate)
				}
			}
			got := map[key]any{}
			for _, r := range j.options {
				scope := number(r.ScopesValues[0].Value.([]byte))
				for _, x := range r.OptionsValues {
					value := x.Value.([]byte)
					if x.Type == 82 || x.Type == 83 {
						got[key{scope, x.Type}] = string(bytes.TrimRight(value, "\x00"))
					} else {
						got[key{scope, x.Type}] = number(value)
					}
				}
			}
			for k, want := range tt.want {
				if got[k] != want {
					t.Errorf("element %d of scope %d: goflow2 reads %v, want %v", k.id, k.scope, got[k], want)
				}
			}
		})
	}
}
