package probe_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/caprock-net/caprock/probe/filter"
)

// TestFilter: a filter on a file gives the flows of the packets that tcpdump takes out of it, and counts the others.
func TestFilter(t *testing.T) {
	name, _ := writeTrace(t, smallTrace())
	all, err := run(t, filesConfig(name))
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"tcp", "not tcp", "ip6 and portrange 0-32767", "greater 200 and not icmp", "tcp[tcpflags] & tcp-syn != 0", "host 203.0.113.77"} {
		cut := filepath.Join(t.TempDir(), "cut.pcap")
		if out, err := exec.Command("tcpdump", "-r", name, "-w", cut, text).CombinedOutput(); err != nil {
			if errors.Is(err, exec.ErrNotFound) {
				t.Skip("no tcpdump")
			}
			t.Fatalf("tcpdump: %v: %s", err, out)
		}
		want, err := run(t, filesConfig(cut))
		if err != nil {
			t.Fatal(err)
		}
		cfg := filesConfig(name)
		if cfg.Filter, err = filter.Parse(text); err != nil {
			t.Fatal(err)
		}
		got, err := run(t, cfg)
		if err != nil {
			t.Fatal(err)
		}
		if err := got.Balance(); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if got.Packets.Read != all.Packets.Read || got.Packets.Filtered != all.Packets.Read-want.Packets.Read || got.Packets.Metered != want.Packets.Metered {
			t.Errorf("%s: %+v, want %+v of %d", text, got.Packets, want.Packets, all.Packets.Read)
		}
		want.Flows.Peak = got.Flows.Peak // ended flows leave with a batch of packets, which frames of others end too
		if !reflect.DeepEqual(got.Flows, want.Flows) {
			t.Errorf("%s: flows %+v, want %+v", text, got.Flows, want.Flows)
		}
	}
}

// TestFilterOfOtherLink: frames that the filter is not for end the source, and are not passed over in silence.
func TestFilterOfOtherLink(t *testing.T) {
	name, _ := writeTrace(t, smallTrace())
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	b[20], b[23] = 101, 0 // the link type in the file's header, whichever its byte order: raw IP
	raw := filepath.Join(t.TempDir(), "raw.pcap")
	if err := os.WriteFile(raw, b, 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := filesConfig(raw)
	if cfg.Filter, err = filter.Parse("ether broadcast"); err != nil {
		t.Fatal(err)
	}
	s, err := run(t, cfg)
	if e := (*filter.Error)(nil); !errors.As(err, &e) || s.Packets.Read != 0 || s.Sources[0].Error == "" {
		t.Errorf("error %v, summary %+v", err, s.Packets)
	}
}
