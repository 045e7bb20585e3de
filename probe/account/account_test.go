package account

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/probe/dissect"
	"github.com/caprock-net/caprock/probe/flowcache"
)

func init() { time.Local = time.UTC }

var begin = time.Unix(1113448403, 0)

func packet(src, dst string, proto uint8, sport, dport uint16, bytes uint32) flowcache.Packet {
	p := flowcache.Packet{Time: netflow.TimestampOf(begin), Packet: dissect.Packet{
		Src: netflow.AddrFrom(netip.MustParseAddr(src)), Dst: netflow.AddrFrom(netip.MustParseAddr(dst)),
		Proto: proto, SrcPort: sport, DstPort: dport, IPBytes: bytes, IPVersion: 4,
	}}
	if strings.Contains(src, ":") {
		p.IPVersion = 6
	}
	if proto == netflow.ProtoICMP {
		p.ICMPType, p.ICMPCode = uint8(dport>>8), uint8(dport)
	}
	return p
}

func account(t testing.TB, cfg Config) *Account {
	t.Helper()
	a, err := New(cfg, begin)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func tableText(t testing.TB, a *Account, checkpoint bool, now time.Time) string {
	t.Helper()
	var b bytes.Buffer
	if err := a.View(checkpoint).WriteText(&b, now); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func equal(t *testing.T, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestText is IPCAD's table, byte for byte.
func TestText(t *testing.T) {
	a := account(t, Config{})
	wi0 := a.Interface("wi0")
	for range 5 {
		wi0.Add([]flowcache.Packet{packet("216.218.215.226", "131.106.57.173", 6, 80, 1, 554)})
	}
	wi0.Add([]flowcache.Packet{packet("131.106.57.229", "255.255.255.255", 17, 67, 68, 328), packet("216.218.215.226", "131.106.57.173", 6, 90, 1, 559),
		packet("131.106.57.229", "255.255.255.255", 17, 67, 69, 328)})
	equal(t, tableText(t, a, false, begin.Add(163*time.Second)), `
   Source           Destination              Packets               Bytes
 131.106.57.229   255.255.255.255                  2                 656
 216.218.215.226  131.106.57.173                   6                3329

Accounting data age is     2
Accounting data age exact 163
Accounting data saved 1113448566
`)
}

// TestTextPorts is the table with capture-ports.
func TestTextPorts(t *testing.T) {
	a := account(t, Config{Ports: true})
	wi0 := a.Interface("wi0")
	wi0.Add([]flowcache.Packet{packet("0.0.0.0", "224.0.0.1", 2, 0, 0, 28), packet("0.0.0.0", "224.0.0.1", 2, 0, 0, 28), packet("0.0.0.0", "224.0.0.1", 2, 0, 0, 28)})
	for range 59 {
		wi0.Add([]flowcache.Packet{packet("207.171.166.48", "131.106.57.173", 6, 80, 53255, 1374)})
	}
	wi0.Add([]flowcache.Packet{packet("207.171.166.48", "131.106.57.173", 6, 80, 53255, 1378), packet("10.0.0.1", "10.0.0.2", 1, 0, 3<<8|1, 56)})
	equal(t, tableText(t, a, false, begin), `
   Source           Destination    Packets        Bytes  SrcPt DstPt Proto   IF
 10.0.0.1         10.0.0.2               1           56      3     1     1  wi0
 207.171.166.48   131.106.57.173        60        82444     80 53255     6  wi0
 0.0.0.0          224.0.0.1              3           84      -     -     2  wi0

Accounting data age is     0
Accounting data age exact 0
Accounting data saved 1113448403
`)
}

// TestPortsOf: an interface without ports in a table with them has rows by address pair.
func TestPortsOf(t *testing.T) {
	a := account(t, Config{PortsOf: map[string]bool{"wi0": true}})
	a.Interface("wi0").Add([]flowcache.Packet{packet("10.0.0.1", "10.0.0.2", 6, 80, 1, 40)})
	a.Interface("wi1").Add([]flowcache.Packet{packet("10.0.0.1", "10.0.0.2", 6, 80, 1, 40), packet("10.0.0.1", "10.0.0.2", 6, 81, 1, 40)})
	if got := tableText(t, a, false, begin); !strings.Contains(got, `
 10.0.0.1         10.0.0.2               2           80      -     -     -    -
 10.0.0.1         10.0.0.2               1           40     80     1     6  wi0
`) {
		t.Error(got)
	}
}

// TestAggregate: the first network decides, the last port range does; ICMP has no ports.
func TestAggregate(t *testing.T) {
	a := account(t, Config{Ports: true,
		Networks: []Network{{netip.MustParsePrefix("10.1.0.0/16"), 32}, {netip.MustParsePrefix("10.0.0.0/8"), 24}, {netip.MustParsePrefix("2001:db8::/32"), 48}},
		Ranges:   []PortRange{{1024, 65535, 65535}, {8080, 8080, 80}, {0, 10, 7}},
	})
	f := a.Interface("e0")
	f.Add([]flowcache.Packet{
		packet("10.1.2.3", "10.2.2.3", 6, 8080, 3000, 1),
		packet("11.1.2.3", "2.2.2.2", 17, 1023, 53, 1),
		packet("10.2.3.4", "2.2.2.2", 1, 0, 8<<8, 1),
		packet("2001:db8:1:2::3", "2001:db9::1", 17, 1, 1, 1),
	})
	var got []string
	a.View(false).Rows(false, func(r *Row) bool {
		got = append(got, fmt.Sprint(r.Src, r.Dst, r.SrcPort, r.DstPort))
		return true
	})
	want := []string{
		"10.1.2.3 10.2.2.0 80 65535", "11.1.2.3 2.2.2.2 1023 53", "10.2.3.0 2.2.2.2 8 0", "2001:db8:1:: 2001:db9::1 7 7",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestMemoryLimit: a full table counts what it knows, and counts what it does not take.
func TestMemoryLimit(t *testing.T) {
	a := account(t, Config{MemoryLimit: 2*EntrySize + 1})
	f := a.Interface("e0")
	for range 2 {
		f.Add([]flowcache.Packet{
			packet("10.0.0.1", "10.0.0.2", 6, 1, 1, 100), packet("10.0.0.3", "10.0.0.2", 6, 1, 1, 100),
			packet("10.0.0.4", "10.0.0.2", 6, 1, 1, 7), packet("10.0.0.4", "10.0.0.2", 6, 1, 1, 7), packet("10.0.0.1", "10.0.0.2", 6, 1, 1, 100),
		})
	}
	if u := a.Usage(); u != (Usage{2, 176, 177}) {
		t.Errorf("%+v", u)
	}
	equal(t, tableText(t, a, false, begin), `
   Source           Destination              Packets               Bytes
 10.0.0.3         10.0.0.2                         2                 200
 10.0.0.1         10.0.0.2                         4                 400

Accounting data age is     0
Accounting data age exact 0
Accounting data saved 1113448403
Accounting threshold exceeded for 4 packets and 28 bytes
Information incomplete since Thu Apr 14 03:13:23 2005
`)
	a.Clear(begin)
	f.Add([]flowcache.Packet{packet("10.0.0.4", "10.0.0.2", 6, 1, 1, 7)})
	if v := a.View(false); v.Entries != 1 || v.Exceeded != (Tally{}) || !v.Incomplete.IsZero() {
		t.Errorf("after clear: %+v", v)
	}
	if v := a.View(true); v.Entries != 2 || v.Exceeded != (Tally{4, 28}) {
		t.Errorf("checkpoint: %+v", v)
	}
	a.ClearCheckpoint(begin)
	if v := a.View(true); v.Entries != 0 {
		t.Errorf("checkpoint after clear: %+v", v)
	}
}

// TestModel compares with a map over random packets, more than the table begins with.
func TestModel(t *testing.T) {
	a := account(t, Config{Ports: true})
	f := a.Interface("e0")
	type key struct {
		src, dst     netflow.Addr
		sport, dport uint16
		proto        uint8
	}
	model := map[key]Tally{}
	rng := rand.New(rand.NewPCG(1, 2))
	var batch []flowcache.Packet
	for range 60000 {
		p := packet("10.0.0.1", "10.0.0.2", 6, uint16(rng.IntN(300)), uint16(rng.IntN(100)), uint32(rng.IntN(1500)))
		p.Src[15] = byte(rng.IntN(3))
		if rng.IntN(4) == 0 {
			p.Proto = 17
		}
		k := key{p.Src, p.Dst, p.SrcPort, p.DstPort, p.Proto}
		n := model[k]
		n.add(Tally{1, uint64(p.IPBytes)})
		model[k] = n
		if batch = append(batch, p); len(batch) > rng.IntN(80) {
			f.Add(batch)
			batch = batch[:0]
		}
	}
	f.Add(batch)
	rows := 0
	a.View(false).Rows(true, func(r *Row) bool {
		rows++
		k := key{r.Src.As16(), r.Dst.As16(), r.SrcPort, r.DstPort, r.Proto}
		if got := (Tally{r.Packets, r.Bytes}); got != model[k] {
			t.Errorf("%+v: got %v, want %v", k, got, model[k])
		}
		return true
	})
	if rows != len(model) || rows < 3*chunkSize {
		t.Errorf("%d rows, the model has %d", rows, len(model))
	}
}

// TestConcurrent: nothing is lost while tables are read and cleared.
func TestConcurrent(t *testing.T) {
	a := account(t, Config{Ports: true})
	const writers, packets = 3, 20000
	var writing, reading sync.WaitGroup
	done := make(chan struct{})
	for w := range writers {
		writing.Go(func() {
			f := a.Interface(fmt.Sprint("e", w))
			for i := range packets / 10 {
				var batch []flowcache.Packet
				for j := range 10 {
					batch = append(batch, packet("10.0.0.1", "10.0.0.2", 17, uint16(i), uint16(j), 1))
				}
				f.Add(batch)
			}
		})
	}
	var sum Tally
	collect := func(checkpoint bool) {
		a.View(checkpoint).Rows(true, func(r *Row) bool { sum.add(Tally{r.Packets, r.Bytes}); return true })
	}
	reading.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
				tableText(t, a, false, begin)
				a.Tick(time.Now())
				a.Clear(begin)
				collect(true)
			}
		}
	})
	writing.Wait()
	close(done)
	reading.Wait()
	collect(false)
	if sum != (Tally{writers * packets, writers * packets}) {
		t.Errorf("%+v, want %d", sum, writers*packets)
	}
}

// TestRate: a constant load is its own average from the first tick on, and fades when it ends.
func TestRate(t *testing.T) {
	a := account(t, Config{})
	f := a.Interface("wi0")
	now := begin
	a.Tick(now)
	for range 10 {
		f.Add([]flowcache.Packet{packet("10.0.0.1", "10.0.0.2", 6, 1, 1, 1000), packet("10.0.0.1", "10.0.0.2", 6, 1, 1, 546)})
		now = now.Add(TickEvery)
		a.Tick(now)
		if b, p := f.Rate(); b != 773 || p != 1 {
			t.Fatalf("%d bytes/s, %d packets/s; want 773, 1", b, p)
		}
	}
	for range 150 {
		now = now.Add(TickEvery)
		a.Tick(now)
	}
	if b, _ := f.Rate(); b != 283 { // 773 * (1 - 2/300) ^ 150
		t.Errorf("after five minutes: %d bytes/s, want 283", b)
	}
}

// TestDump: what is dumped is restored; import adds; the tables that people saved are read too.
func TestDump(t *testing.T) {
	for _, ports := range []bool{false, true} {
		a := account(t, Config{Ports: ports})
		f := a.Interface("wi 0")
		f.Add([]flowcache.Packet{packet("10.0.0.1", "10.0.0.2", 6, 1, 2, 100), packet("10.0.0.3", "10.0.0.2", 2, 0, 0, 28),
			packet("2001:db8::1", "2001:db8::2", 17, 1, 1, 100), packet("10.0.0.1", "10.0.0.2", 1, 0, 0x800, 84)})
		var dump bytes.Buffer
		if err := a.View(false).WriteDump(&dump); err != nil {
			t.Fatal(err)
		}
		table := tableText(t, a, false, begin)
		for _, file := range []string{dump.String(), table + "Interface wi0: received 833, 5 m average 773 bytes/sec, 1 pkts/sec, dropped 0\n"} {
			b := account(t, Config{Ports: ports})
			n, err := b.Restore(strings.NewReader(file), begin)
			if err != nil || n != a.Usage().Entries {
				t.Fatalf("%d elements, error %v", n, err)
			}
			if file == dump.String() {
				equal(t, tableText(t, b, false, begin), table)
			}
			if n, err = b.Import(strings.NewReader(file), begin); err != nil || n != a.Usage().Entries || b.Usage().Entries != n {
				t.Errorf("import: %d elements, %d in the table, error %v", n, b.Usage().Entries, err)
			}
			b.View(false).Rows(true, func(r *Row) bool {
				if r.Packets%2 != 0 {
					t.Errorf("%+v: not added", r)
				}
				return true
			})
		}
	}
}

// TestBadDump: a file that is not whole, or no table, changes nothing.
func TestBadDump(t *testing.T) {
	head := dumpHead + dumpNote
	for name, file := range map[string]string{
		"other":    "hello\n",
		"torn":     head + "10.0.0.1 10.0.0.2 1 2 - - - -\n",
		"count":    head + "10.0.0.1 10.0.0.2 1 2 - - - -\n# end: 2 elements, exceeded 0 packets 0 bytes\n",
		"behind":   head + "# end: 0 elements, exceeded 0 packets 0 bytes\n10.0.0.1 10.0.0.2 1 2 - - - -\n",
		"columns":  head + "10.0.0.1 10.0.0.2 1 2 3\n# end: 1 elements, exceeded 0 packets 0 bytes\n",
		"port":     head + "10.0.0.1 10.0.0.2 1 2 70000 1 6 e\n# end: 1 elements, exceeded 0 packets 0 bytes\n",
		"families": head + "10.0.0.1 ::1 1 2 7 1 6 e\n# end: 1 elements, exceeded 0 packets 0 bytes\n",
		"long":     head + strings.Repeat("x", 5000) + "\n",
		"table":    title + "\n 10.0.0.1 10.0.0.2 many 3\n",
	} {
		a := account(t, Config{})
		a.Interface("e").Add([]flowcache.Packet{packet("10.0.0.1", "10.0.0.2", 6, 1, 2, 100)})
		if _, err := a.Import(strings.NewReader(file), begin); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: error %v", name, err)
		}
		if _, err := a.Restore(strings.NewReader(file), begin); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: error %v", name, err)
		}
		if u := a.Usage(); u.Entries != 1 {
			t.Errorf("%s: %+v", name, u)
		}
	}
	if n, err := account(t, Config{}).Import(strings.NewReader(""), begin); n != 0 || err != nil {
		t.Errorf("empty file: %d, %v", n, err)
	}
}

func FuzzRestore(f *testing.F) {
	f.Add(dumpHead + dumpNote + "10.0.0.1 10.0.0.2 1 2 80 81 6 e0\n10.0.0.1 10.0.0.2 1 2 - - - -\n# end: 2 elements, exceeded 1 packets 1 bytes\n")
	f.Add("\n" + titlePorts + "\n 207.171.166.48   131.106.57.173        60        82444     80 53255     6  wi0\n 0.0.0.0          224.0.0.1              3           84      -     -     2  wi0\n\nAccounting data age is     2\n")
	f.Add("\n" + title + "\n 216.218.215.226  131.106.57.173                   6                3329\n")
	f.Fuzz(func(t *testing.T, file string) {
		a := account(t, Config{Ports: true, MemoryLimit: 100 * EntrySize})
		if _, err := a.Restore(strings.NewReader(file), begin); err != nil {
			return
		}
		var first, second bytes.Buffer
		_ = a.View(false).WriteDump(&first)
		b := account(t, Config{Ports: true, MemoryLimit: 100 * EntrySize})
		n, err := b.Restore(bytes.NewReader(first.Bytes()), begin)
		_ = b.View(false).WriteDump(&second)
		if err != nil || n != a.Usage().Entries || first.String() != second.String() {
			t.Errorf("dumped, restored, dumped: error %v\n%s\n%s", err, &first, &second)
		}
	})
}

func BenchmarkAdd(b *testing.B) {
	for _, ports := range []bool{false, true} {
		b.Run(fmt.Sprint("ports=", ports), func(b *testing.B) {
			a := account(b, Config{Ports: ports})
			f := a.Interface("e0")
			rng := rand.New(rand.NewPCG(1, 2))
			pkts := make([]flowcache.Packet, 1<<16)
			for i := range pkts {
				pkts[i] = packet("10.0.0.1", "10.0.0.2", 6, uint16(rng.IntN(1<<16)), 80, 100)
				pkts[i].Src[14], pkts[i].Src[15] = byte(rng.IntN(256)), byte(rng.IntN(128))
			}
			f.Add(pkts)
			b.ReportAllocs()
			at := 0
			for b.Loop() {
				f.Add(pkts[at : at+flowcache.BatchSize])
				at = (at + flowcache.BatchSize) % len(pkts)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*flowcache.BatchSize), "ns/packet")
		})
	}
}
