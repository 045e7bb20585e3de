package capture

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"github.com/caprock-net/caprock/probe/capture/capturetest"
	"github.com/caprock-net/caprock/probe/dissect"
	"github.com/caprock-net/caprock/probe/filter"
)

// TestFilter: the kernel takes what the expression takes of the same frames in a file; on one interface and on all, which
// has no link headers yet when the filter sees the packets.
func TestFilter(t *testing.T) {
	isolate(t)
	veth(t)
	var sent [][]byte
	for i := range 12 {
		sent = append(sent,
			ethernet(i, 60+10*i),
			ethernet(i, 60+10*i, 0x8100, 5),
			ethernet(i, 60+10*i, 0x8100, 0x2006),
			ethernet(i, 60+10*i, 0x88a8, 5, 0x8100, 7))
	}
	for _, test := range []struct {
		text string
		want int // of the frames sent
	}{
		{"", 48},
		{"vlan", 36},
		{"not vlan", 12},
		{"vlan 5", 24},
		{"vlan 6 and ip", 12},
		{"vlan 5 and vlan 7", 12},
		{"vlan 5 and vlan 7 and ip[4:4] = 3", 1},
		{"vlan 5 and ip[4:4] < 4", 4},
		{"not (vlan 5 and ip)", 36},
		{"ether proto 0x88cc or (vlan 6 and ip[7] >= 6)", 6},
	} {
		for _, name := range []string{"near", "any"} {
			sent := sent
			if name == "any" { // Linux passes on one tag only of packets without link header: the filter sees more
				sent = slices.DeleteFunc(slices.Clone(sent), func(b []byte) bool { return b[12] == 0x88 })
			}
			f, err := filter.Parse(test.text)
			if err != nil {
				t.Fatal(err)
			}
			all := open(t, LiveConfig{Interface: name, RingSize: 16 << 20})
			some := open(t, LiveConfig{Interface: name, RingSize: 16 << 20, Filter: f})
			capturetest.Send(t, "far", sent...)
			time.Sleep(20 * time.Millisecond)
			got, whole := collect(t, some), collect(t, all)

			var want []Frame
			m := filter.NewMatcher(f)
			for _, frame := range whole {
				if ok, err := m.Match(frame.Link, frame.Data, frame.WireLen); err != nil {
					t.Fatal(err)
				} else if ok {
					want = append(want, frame)
				}
			}
			if len(got) != len(want) {
				t.Errorf("%s: %s: the kernel takes %d frames of %d, we %d", name, test.text, len(got), len(whole), len(want))
				continue
			}
			for i := range got {
				if !bytes.Equal(got[i].Data, want[i].Data) || got[i].WireLen != want[i].WireLen {
					t.Errorf("%s: %s: frame %d: % x, want % x", name, test.text, i, got[i].Data, want[i].Data)
				}
			}
			if name == "near" && len(whole) == len(sent) && len(got) != test.want {
				t.Errorf("%s: %d frames, want %d", test.text, len(got), test.want)
			}
		}
	}
}

// TestFilterOfPackets: what is in the frame is found where there is no link header yet, and len is that of the frame.
func TestFilterOfPackets(t *testing.T) {
	isolate(t)
	veth(t)
	for text, want := range map[string]int{
		"net 0.0.0.0/32 and ip[7] < 5": 5, "not ip": 0, "ip[7] = 3 and not ip6": 1, "inbound and ip[7] = 3": 1, "outbound": 10,
		"inbound and len = 104": 1, "inbound and less 104": 3, "len - 80 = 25 and inbound": 1,
	} {
		f, err := filter.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		l := open(t, LiveConfig{Interface: "any", RingSize: 16 << 20, Filter: f})
		var sent [][]byte
		for i := range 10 {
			sent = append(sent, ethernet(i, 78+i)) // 100 bytes, 102 with the header of LINKTYPE_LINUX_SLL
		}
		capturetest.Send(t, "far", sent...)
		time.Sleep(20 * time.Millisecond)
		in := 0
		for _, frame := range collect(t, l) {
			if frame.Link != dissect.LinkSLL {
				t.Fatalf("link type %d", frame.Link)
			}
			if out := frame.Data[1] == 4; !out || text == "outbound" {
				in++
			}
		}
		if in != want {
			t.Errorf("%s: %d frames, want %d", text, in, want)
		}
	}
	f, err := filter.Parse("ether host 02:00:00:00:00:01")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := OpenLive(LiveConfig{Interface: "any", Filter: f}); err == nil {
		t.Error("Ethernet addresses are looked for where there are none")
	}
}

// TestFilterCuts: what is taken is cut to the snap length.
func TestFilterCuts(t *testing.T) {
	isolate(t)
	veth(t)
	f, err := filter.Parse("ip")
	if err != nil {
		t.Fatal(err)
	}
	l := open(t, LiveConfig{Interface: "near", RingSize: 16 << 20, SnapLen: 70, Filter: f})
	capturetest.Send(t, "far", ethernet(1, 1000))
	time.Sleep(20 * time.Millisecond)
	got := collect(t, l)
	if len(got) != 1 || len(got[0].Data) != 70 || got[0].WireLen != 1022 {
		t.Fatalf("%+v, want a frame of 1022 bytes cut to 70", got)
	}
}
