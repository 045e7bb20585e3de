package collector

import (
	"encoding/json"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"github.com/caprock-net/caprock/collector/decode"
	"github.com/caprock-net/caprock/storage"
)

// fill gives every counter another value.
func fill(c *decode.Counters, from uint64) {
	v := reflect.ValueOf(c).Elem()
	for i := range v.NumField() {
		switch f := v.Field(i); f.Kind() {
		case reflect.Uint64:
			f.SetUint(from + uint64(i))
		case reflect.Array:
			for j := range f.Len() {
				f.Index(j).SetUint(from + uint64(100*i+j))
			}
		}
	}
}

// Every counter of an exporter takes part in sums and differences, also one that is added to the type some day.
func TestChangeKnowsEveryCounter(t *testing.T) {
	var a, b, sum decode.Counters
	fill(&a, 1000)
	fill(&b, 5)
	change(&sum, &a, 1)
	if sum != a {
		t.Errorf("0 + a = %+v, want %+v", sum, a)
	}
	change(&sum, &b, 1)
	change(&sum, &a, minus)
	if sum != b {
		t.Errorf("a + b - a = %+v, want %+v", sum, b)
	}
}

func exporter(address string, datagrams uint64) decode.ExporterStats {
	e := decode.ExporterStats{Exporter: netip.MustParseAddr(address), Version: 9, FirstSeen: 1}
	e.Datagrams = datagrams
	return e
}

func TestAccountsOfSocketsAreMerged(t *testing.T) {
	a := decode.Stats{Exporters: []decode.ExporterStats{exporter("10.0.0.1", 1), exporter("10.0.0.2", 2)}}
	b := decode.Stats{Exporters: []decode.ExporterStats{exporter("10.0.0.3", 4), exporter("10.0.0.2", 8)}}
	b.Exporters[1].WithoutTemplate = map[uint16]uint64{256: 3}
	got := merge(merge(decode.Stats{}, a), b)
	sortExporters(got.Exporters)
	if len(got.Exporters) != 3 || got.Exporters[0].Datagrams != 1 || got.Exporters[1].Datagrams != 10 || got.Exporters[2].Datagrams != 4 ||
		got.Exporters[1].WithoutTemplate[256] != 3 {
		t.Errorf("got %+v", got.Exporters)
	}
}

// An account since an earlier one lists who was heard meanwhile, with what they sent meanwhile. An exporter that was
// forgotten and came back, which its first time tells, has begun from nothing.
func TestSince(t *testing.T) {
	before := Stats{Until: time.Unix(100, 0), Datagrams: 10, Stored: 100, KernelDrops: 1}
	before.Decode.Exporters = []decode.ExporterStats{exporter("10.0.0.1", 1), exporter("10.0.0.2", 2), exporter("10.0.0.3", 50)}
	now := Stats{Until: time.Unix(200, 0), Datagrams: 30, Stored: 150, KernelDrops: 4}
	now.Decode.Exporters = []decode.ExporterStats{exporter("10.0.0.1", 1), exporter("10.0.0.2", 5), exporter("10.0.0.3", 7), exporter("10.0.0.4", 9)}
	now.Decode.Exporters[2].FirstSeen = 150e6
	got := now.since(&before)
	if got.Datagrams != 20 || got.Stored != 50 || got.KernelDrops != 3 || !got.Since.Equal(before.Until) {
		t.Errorf("got %+v", got)
	}
	var heard []uint64
	for _, e := range got.Decode.Exporters {
		heard = append(heard, e.Datagrams)
	}
	if !reflect.DeepEqual(heard, []uint64{3, 7, 9}) {
		t.Errorf("exporters with %v datagrams, want 3, 7, 9", heard)
	}
}

// A footer is written often: many exporters do not make it large.
func TestReportIsBounded(t *testing.T) {
	var s Stats
	for i := range 60_000 {
		e := exporter(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}).String(), 1)
		s.Decode.Exporters = append(s.Decode.Exporters, e)
	}
	s.Decode.Exporters[59_999].Flows = 1
	r := s.report()
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	if last := r.Exporters[len(r.Exporters)-1]; len(text) > 1<<20 || r.Omitted != 60_000-maxExporters || last.Flows != 1 {
		t.Errorf("%d bytes, %d omitted, last %+v", len(text), r.Omitted, last)
	}
}

// datagramV5 is a datagram of n empty records.
func datagramV5(n int) []byte {
	b := make([]byte, 24+48*n)
	b[1], b[3] = 5, byte(n)
	return b
}

// When the storage does not take batches, the newest flows are dropped and counted; those already handed over stay.
func TestQueueFull(t *testing.T) {
	cfg := storage.DefaultConfig()
	cfg.Dir = t.TempDir()
	cfg.Queue = 2
	w, err := storage.NewWriter(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	l := newLane(w, decode.New(decode.Config{}), nil) // nobody runs the writer
	exporter := netip.MustParseAddrPort("127.0.0.1:1")
	const datagrams = 2000
	for range datagrams {
		l.Datagrams([]decode.Datagram{{Exporter: exporter, Received: 1, Payload: datagramV5(30)}})
		l.Tick(time.Time{})
	}
	taken := uint64(w.Stats().Queued)
	if taken != 2 {
		t.Fatalf("%d batches taken", taken)
	}
	decoded := l.decoder.Stats().Flows
	if kept := uint64(l.batch.Len()); decoded != datagrams*30 || 2*30+l.queueFull.Load()+kept != decoded {
		t.Errorf("%d decoded, 60 taken by ticks, %d dropped, %d in the batch", decoded, l.queueFull.Load(), kept)
	}
	if l.queueFull.Load() == 0 {
		t.Error("nothing dropped")
	}
	// It waited once, not for each batch: beyond a try for each tick and each batch there were those of one wait.
	if tries := w.Stats().Refused; tries > datagrams+uint64(2*stall/stallStep) {
		t.Errorf("%d tries", tries)
	}
}

func TestComplaintsAreFew(t *testing.T) {
	var c complaint
	var said []uint64
	start := time.Unix(1000, 0)
	for i := range 180 { // a loss every second, for three minutes
		c.look(start.Add(time.Duration(i)*time.Second), uint64(10*i), func(n uint64) { said = append(said, n) })
	}
	if !reflect.DeepEqual(said, []uint64{10, 600, 600}) {
		t.Errorf("said %v", said)
	}
}
