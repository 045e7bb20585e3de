package flowcache_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/probe/dissect"
	"github.com/caprock-net/caprock/probe/flowcache"
)

const second = netflow.Timestamp(1e6)

// epoch is the time the tests begin at.
const epoch = 1_700_000_000 * second

// meter is a cache that keeps what it emits.
type meter struct {
	*flowcache.Cache
	t   *testing.T
	out []netflow.Record
}

func newMeter(t *testing.T, cfg flowcache.Config) *meter {
	return &meter{Cache: newCache(t, cfg), t: t}
}

func (m *meter) emit(r *netflow.Record) { m.out = append(m.out, *r) }

// tcp adds a TCP packet of flow n at a time after epoch.
func (m *meter) tcp(at netflow.Timestamp, n int, flags uint16) {
	p := dissect.Packet{Src: netflow.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)}), Dst: netflow.AddrFrom4([4]byte{192, 0, 2, 1}),
		SrcPort: 1024, DstPort: 80, Proto: netflow.ProtoTCP, IPVersion: 4, TCPFlags: flags, IPBytes: 100}
	m.Add(epoch+at, 1, &p, m.emit)
}

// take returns what was emitted since the last call, as "source packets reason" each.
func (m *meter) take() string {
	var list []string
	for _, r := range m.out {
		a := r.SrcAddr
		list = append(list, fmt.Sprintf("%d %d %d", int(a[13])<<16|int(a[14])<<8|int(a[15]), r.Packets, r.EndReason))
	}
	m.out = m.out[:0]
	return strings.Join(list, ", ")
}

func (m *meter) want(what, want string) {
	m.t.Helper()
	if got := m.take(); got != want {
		m.t.Errorf("%s: emitted %q, want %q", what, got, want)
	}
}

func TestTimeouts(t *testing.T) {
	m := newMeter(t, flowcache.Config{Active: 60 * time.Second, Inactive: 10 * time.Second})
	for at := netflow.Timestamp(0); at <= 60; at += 5 {
		m.tcp(at*second, 1, netflow.TCPAck)
	}
	m.want("60 s are not longer than the active timeout", "")
	m.tcp(65*second, 1, netflow.TCPAck)
	m.want("65 s are", "1 13 2")
	m.Expire(epoch+75*second, m.emit)
	m.want("10 s of silence", "")
	m.Expire(epoch+76*second, m.emit)
	m.want("11 s of silence", "1 1 1")

	m.tcp(80*second, 2, netflow.TCPAck)
	m.tcp(90*second+1, 2, netflow.TCPAck) // no sweep came between
	m.want("a packet after the timeout", "2 1 1")
	m.Flush(m.emit)
	m.want("flush", "2 1 4")
}

func TestTCPExpiry(t *testing.T) {
	m := newMeter(t, flowcache.Config{TCPExpiry: true})
	m.tcp(0, 1, netflow.TCPSyn)
	m.tcp(1, 1, netflow.TCPFin|netflow.TCPAck)
	m.tcp(second/2, 1, netflow.TCPAck)
	m.tcp(second/2, 2, netflow.TCPAck)
	m.tcp(second+1, 2, netflow.TCPAck)
	m.want("within a second", "")
	m.tcp(second+2, 2, netflow.TCPAck)
	m.want("after a second", "1 3 3")
	m.tcp(2*second, 3, netflow.TCPRst)
	m.tcp(2*second+1, 3, netflow.TCPSyn)
	m.want("ports used again", "3 1 3")
	m.tcp(2*second+2, 3, netflow.TCPFin)
	m.Flush(m.emit)
	m.want("flush tells those that had ended", "3 2 3, 2 3 4")

	m = newMeter(t, flowcache.Config{})
	m.tcp(0, 1, netflow.TCPFin)
	m.Expire(epoch+10*second, m.emit)
	m.want("off", "")

	m = newMeter(t, flowcache.Config{TCPExpiry: true, Key: flowcache.KeyDstAddr | flowcache.KeyProto})
	m.tcp(0, 1, netflow.TCPFin)
	m.Expire(epoch+10*second, m.emit)
	m.want("a key coarser than a connection", "")
}

// TestIdleLeavesSoon has flows fall silent at all times while others go on: each leaves in the second after its timeout,
// and none of the others' packets sees more than a few leave.
func TestIdleLeavesSoon(t *testing.T) {
	c := newCache(t, flowcache.Config{Inactive: 15 * time.Second})
	var now, worst netflow.Timestamp
	emitted, burst := 0, 0
	emit := func(r *netflow.Record) {
		worst = max(worst, now-(r.End+15*second))
		emitted++
	}
	p := dissect.Packet{IPVersion: 6, Proto: netflow.ProtoUDP, IPBytes: 60}
	const flows = 60_000
	for i := range 2 * flows {
		now = epoch + netflow.Timestamp(i)*500 // 2,000 packets/s for a minute
		p.Src[15], p.Src[14], p.Src[13] = byte(i), byte(i>>8), byte(i>>16)
		before := emitted
		c.Add(now, 1, &p, emit)
		burst = max(burst, emitted-before)
	}
	if worst > 1300*second/1000 || worst < 0 {
		t.Errorf("a flow left %d µs after its timeout", worst)
	}
	if burst > 4 {
		t.Errorf("%d flows left at one packet", burst)
	}
	if want := 2*flows - 17*2000; emitted < want {
		t.Errorf("%d flows left, want at least %d", emitted, want)
	}
}

// TestEviction fills the table, refreshes some flows, and lets more come: the ones that go are those not seen for longest.
func TestEviction(t *testing.T) {
	const n = 1000
	m := newMeter(t, flowcache.Config{MaxFlows: n, Inactive: time.Minute, TCPExpiry: true})
	for i := range n {
		m.tcp(netflow.Timestamp(i)*second/50, i, netflow.TCPAck) // 20 s
	}
	for i := 0; i < n; i += 2 {
		m.tcp(21*second+netflow.Timestamp(i)*second/100, i, netflow.TCPAck) // 10 s
	}
	m.want("it fits", "")
	for i := range n / 2 {
		m.tcp(32*second, n+i, netflow.TCPAck)
	}
	for i, r := range m.out {
		if r.EndReason != netflow.EndReasonResources || r.Packets != 1 {
			t.Fatalf("%+v", r)
		}
		if i > 0 && m.out[i-1].End-r.End > second/4 {
			t.Errorf("flow last seen at %v goes before one of %v", m.out[i-1].End, r.End)
		}
	}
	if s := m.Stats(); len(m.out) != n/2 || s.Evicted != n/2 || s.Flows != n || s.PeakFlows != n {
		t.Errorf("%d records, %+v", len(m.out), s)
	}
	m.take()
	m.tcp(32*second, n, netflow.TCPFin)
	m.tcp(32*second, 3*n, netflow.TCPAck)
	m.want("a flow that has ended goes first", "1000 2 3")
	m.tcp(32*second, 4*n, netflow.TCPAck)
	if r := m.out[0]; len(m.out) != 1 || r.EndReason != netflow.EndReasonResources || r.End > epoch+21*second+second/4 {
		t.Errorf("then the oldest of those refreshed: %+v", m.out)
	}
}

// TestSYNFlood has nothing but new flows.
func TestSYNFlood(t *testing.T) {
	m := newMeter(t, flowcache.Config{MaxFlows: 64})
	for i := range 10_000 {
		m.tcp(netflow.Timestamp(i), i, netflow.TCPSyn)
	}
	if s := m.Stats(); s.Flows != 64 || s.Evicted != 10_000-64 || len(m.out) != 10_000-64 {
		t.Errorf("%d records, %+v", len(m.out), s)
	}
}

func TestClock(t *testing.T) {
	m := newMeter(t, flowcache.Config{Active: 60 * time.Second, Inactive: 10 * time.Second})
	m.tcp(30*second, 1, netflow.TCPAck)
	m.tcp(0, 1, netflow.TCPAck)
	m.tcp(1*second, 2, netflow.TCPAck)
	if s := m.Stats(); s.Backwards != 2 || s.ClockSteps != 0 || s.Flows != 2 {
		t.Errorf("%+v", s)
	}
	m.Expire(epoch+40*second, m.emit)
	m.want("late packets count at the time of the newest", "")
	m.Expire(epoch+42*second, m.emit)
	if len(m.out) != 2 {
		t.Fatalf("%+v", m.out)
	}
	for _, r := range m.out {
		if r.EndReason != netflow.EndReasonIdle {
			t.Errorf("%+v", r)
		}
		if r.SrcAddr[15] == 1 && (r.Start != epoch || r.End != epoch+30*second) {
			t.Errorf("times of packets out of order: %v to %v", r.Start, r.End)
		}
	}
	m.take()
	m.tcp(50*second, 3, netflow.TCPAck)
	m.tcp(-20*second, 4, netflow.TCPAck)
	m.want("a step back by more than the active timeout ends all", "3 1 4")
	m.tcp(-8*second, 5, netflow.TCPAck)
	m.want("time goes on from there", "4 1 1")
	m.tcp(1e9*second, 6, netflow.TCPAck)
	m.want("a step forward", "5 1 1")
	m.tcp(0, 7, netflow.TCPAck)
	m.want("and back", "6 1 4")
	if s := m.Stats(); s.Backwards != 4 || s.ClockSteps != 2 || s.Flows != 1 {
		t.Errorf("%+v", s)
	}
}

// TestVersions has an IPv4 packet and an IPv6 packet with the mapped addresses: not one flow, whatever the key.
func TestVersions(t *testing.T) {
	for _, key := range []flowcache.KeyFields{flowcache.DefaultKey, flowcache.KeyProto} {
		c := newCache(t, flowcache.Config{Key: key})
		a := dissect.Packet{Src: netflow.AddrFrom4([4]byte{10, 0, 0, 1}), Dst: netflow.AddrFrom4([4]byte{10, 0, 0, 2}), Proto: 17, IPVersion: 4}
		b := a
		b.IPVersion = 6
		c.Add(epoch, 1, &a, nil)
		c.Add(epoch, 1, &b, nil)
		c.Add(epoch, 1, &a, nil)
		if s := c.Stats(); s.Flows != 2 {
			t.Errorf("key %v: %d flows, want 2", key, s.Flows)
		}
	}
}

func TestParseKey(t *testing.T) {
	for text, want := range map[string]flowcache.KeyFields{
		"src_addr,dst_addr,src_port,dst_port,proto,tos,input": flowcache.DefaultKey,
		" src_mac , dst_mac,vlan,vlan":                        flowcache.KeySrcMAC | flowcache.KeyDstMAC | flowcache.KeyVLAN,
		"proto":                                               flowcache.KeyProto,
	} {
		got, err := flowcache.ParseKey(text)
		if err != nil || got != want {
			t.Errorf("ParseKey(%q) = %v, %v", text, got, err)
		}
		if again, err := flowcache.ParseKey(got.String()); err != nil || again != got {
			t.Errorf("ParseKey(%q) = %v, %v", got.String(), again, err)
		}
	}
	for _, text := range []string{"", "src_addr,", "srcaddr", "src_addr,next_hop"} {
		_, err := flowcache.ParseKey(text)
		if !errors.Is(err, flowcache.ErrKey) || !strings.Contains(err.Error(), "src_addr, dst_addr, src_port, dst_port, proto, tos, input, vlan, src_mac, dst_mac") {
			t.Errorf("ParseKey(%q): %v", text, err)
		}
	}
}

func TestConfig(t *testing.T) {
	_, err := flowcache.New(flowcache.Config{MaxFlows: -1, Active: -1, Inactive: time.Microsecond, Key: 1 << 15})
	if err == nil || strings.Count(err.Error(), "\n") != 3 || !errors.Is(err, flowcache.ErrKey) {
		t.Errorf("four complaints wanted: %v", err)
	}
	_, err = flowcache.New(flowcache.Config{Biflow: true, TCPMetrics: true, Key: flowcache.KeySrcAddr | flowcache.KeySrcPort | flowcache.KeySrcMAC})
	if err == nil || strings.Count(err.Error(), "\n") != 1 || !errors.Is(err, flowcache.ErrKey) {
		t.Errorf("two complaints wanted: %v", err)
	}
	_, err = flowcache.New(flowcache.Config{Biflow: true, Key: flowcache.KeySrcAddr | flowcache.KeyDstAddr | flowcache.KeyDstPort})
	if err == nil || !strings.Contains(err.Error(), "dst_port without src_port") {
		t.Errorf("one end's port: %v", err)
	}
	if got, want := (flowcache.Config{}).BytesPerFlow(), flowcache.BytesPerFlow; got != want {
		t.Errorf("%d bytes for a flow, want %d", got, want)
	}
	if s := newCache(t, flowcache.Config{}).Stats(); s.MaxFlows != flowcache.DefaultMaxFlows {
		t.Errorf("%+v", s)
	}
}

func TestNoAllocation(t *testing.T) {
	t.Run("plain", func(t *testing.T) { noAllocation(t, flowcache.Config{}) })
	t.Run("all", func(t *testing.T) {
		noAllocation(t, flowcache.Config{Details: true, Outers: true, TCPMetrics: true, Biflow: true})
	})
}

func noAllocation(t *testing.T, cfg flowcache.Config) {
	cfg.MaxFlows, cfg.Inactive = 2000, time.Second
	c := newCache(t, cfg)
	var frame []byte
	var batch [flowcache.BatchSize]flowcache.Packet
	emitted := 0
	emit := func(*netflow.Record) { emitted++ }
	i := 0
	packets := func() {
		for range 200 {
			for n := range batch {
				frame = appendFrame(frame[:0], uint64(i%3000)*0x9e3779b97f4a7c15, i%10 == 0)
				dissect.Dissect(dissect.LinkEthernet, frame, 1294, &batch[n].Packet)
				batch[n].Time = epoch + netflow.Timestamp(i)*700
				i++
			}
			c.AddBatch(batch[:], emit)
			c.Add(batch[31].Time, 1, &batch[31].Packet, emit)
		}
	}
	packets() // the table grows
	if allocs := testing.AllocsPerRun(5, packets); allocs != 0 {
		t.Errorf("%v allocations in 6,400 packets, want 0", allocs)
	}
	s := c.Stats()
	if idle := s.Emitted[netflow.EndReasonIdle]; emitted == 0 || s.Evicted == 0 && idle == 0 {
		t.Errorf("nothing happened: %+v", s)
	}
}

func Example() {
	cache, err := flowcache.New(flowcache.DefaultConfig())
	if err != nil {
		panic(err)
	}
	emit := func(r *netflow.Record) {
		fmt.Println(r.SrcAddr, r.SrcPort, "->", r.DstAddr, r.DstPort, r.Packets, "packet,", r.Bytes, "bytes")
	}
	frame := []byte("\x02\x00\x00\x00\x00\x01\x02\x00\x00\x00\x00\x02\x08\x00" + // Ethernet, IPv4
		"\x45\x00\x00\x1c\x00\x00\x00\x00\x40\x11\x00\x00\x0a\x00\x00\x01\x0a\x00\x00\x02" + "\x00\x35\x30\x39\x00\x08\x00\x00")
	var batch [flowcache.BatchSize]flowcache.Packet
	n := 0
	if dissect.Dissect(dissect.LinkEthernet, frame, len(frame), &batch[n].Packet) == dissect.OK {
		batch[n].Time, batch[n].Input = 1_700_000_000_000_000, 2
		n++
	}
	cache.AddBatch(batch[:n], emit)
	cache.Flush(emit)
	// Output: 10.0.0.1 53 -> 10.0.0.2 12345 1 packet, 28 bytes
}

// TestFarJump: the clock may jump by any time, as a damaged capture makes it, without a look at every tick between.
func TestFarJump(t *testing.T) {
	m := newMeter(t, flowcache.Config{TCPExpiry: true})
	m.tcp(0, 1, netflow.TCPSyn)
	m.tcp(1, 1, netflow.TCPFin)
	m.tcp(2, 2, netflow.TCPSyn)
	m.tcp(5*second, 3, netflow.TCPSyn)
	m.want("a while", "1 2 3")
	m.tcp(1<<62-epoch, 4, netflow.TCPSyn) // 1e14 ticks
	m.want("jump", "2 1 1, 3 1 1")
	m.tcp(0, 5, netflow.TCPSyn)
	m.want("back", "4 1 4")
}
