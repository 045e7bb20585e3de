package flowcache

import (
	"math/bits"
	"testing"
	"time"

	"github.com/caprock-net/caprock/netflow"
)

// patterns are tuples that somebody might send to make a hash table slow: regular ones, which defeat weak mixing.
var patterns = map[string]func(i uint64, p *Packet){
	"addresses in order":  func(i uint64, p *Packet) { putUint64(p.Src[8:], i) },
	"low bits constant":   func(i uint64, p *Packet) { putUint64(p.Src[8:], i<<32) },
	"high words":          func(i uint64, p *Packet) { putUint64(p.Src[:], i<<44) },
	"ports":               func(i uint64, p *Packet) { p.SrcPort, p.DstPort = uint16(i), uint16(i>>16) },
	"source = complement": func(i uint64, p *Packet) { putUint64(p.Src[8:], i); putUint64(p.Dst[8:], ^i) },
	"source = destination": func(i uint64, p *Packet) {
		putUint64(p.Src[8:], i)
		putUint64(p.Dst[8:], i)
	},
	"bits reversed": func(i uint64, p *Packet) { putUint64(p.Src[8:], bits.Reverse64(i)) },
	"grid": func(i uint64, p *Packet) {
		p.Src[15], p.Dst[15], p.SrcPort = byte(i), byte(i>>8), uint16(i>>16)<<8
	},
	"constants known": func(i uint64, p *Packet) {
		putUint64(p.Src[:], i*0x9e3779b97f4a7c15)
		putUint64(p.Src[8:], -i*0x9e3779b97f4a7c15)
	},
}

func putUint64(b []byte, v uint64) {
	for i := range 8 {
		b[i] = byte(v >> (56 - 8*i))
	}
}

// TestPatterns wants the same short runs of slots for all patterns, with a random key: a table three eighths full needs
// 1.3 looks on average to find a flow.
func TestPatterns(t *testing.T) {
	const flows = 24 << 10 // of 64 Ki slots
	for name, pattern := range patterns {
		c, err := New(Config{MaxFlows: 1 << 15, Inactive: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		for i := range uint64(flows) {
			p := Packet{Time: 1}
			p.IPVersion = 6
			pattern(i, &p)
			c.Add(p.Time, 1, &p.Packet, nil)
		}
		if c.stats.Flows != flows || c.stats.Evicted != 0 {
			t.Errorf("%s: %+v", name, c.stats)
		}
		mask := len(c.slots) - 1
		longest, sum := 0, 0
		for pos, slot := range c.slots {
			if slot != 0 {
				look := (pos-int(slot>>32))&mask + 1
				longest = max(longest, look)
				sum += look
			}
		}
		if mean := float64(sum) / flows; mean > 1.5 || longest > 64 {
			t.Errorf("%s: %.2f looks on average, %d at most", name, mean, longest)
		}
	}
}

// TestProbeBound takes the secrets away and sends flows that all have one hash, as nobody can while they are there: the
// run stays bounded, and packets stay accounted for.
func TestProbeBound(t *testing.T) {
	c, err := New(Config{MaxFlows: 10_000})
	if err != nil {
		t.Fatal(err)
	}
	c.hasher = hasher{}
	packets := uint64(0)
	emit := func(r *netflow.Record) { packets += r.Packets }
	const flows = 5000
	for i := range uint64(flows) {
		p := Packet{Time: 1}
		p.IPVersion = 6
		putUint64(p.Src[8:], i) // multiplied with the first half, which is 0
		c.Add(1, 1, &p.Packet, emit)
	}
	s := c.Stats()
	if s.Flows != maxProbe || s.Evicted != flows-maxProbe || packets != s.Evicted {
		t.Errorf("%d packets came out, %+v", packets, s)
	}
	c.Flush(emit)
	if packets != flows {
		t.Errorf("%d packets came out, want %d", packets, flows)
	}
}

// TestHash wants each bit of a key to change half of the bits of the hash, and different seeds to give different hashes.
func TestHash(t *testing.T) {
	mask := (DefaultKey | KeyVLAN | KeySrcMAC | KeyDstMAC).mask()
	changed := 0
	n := 0
	for seed := range byte(20) {
		h := newHasher([32]byte{1: seed, 2: 1}, true)
		for word := range keyWords {
			for bit := range 64 {
				var k key
				k[word] = 1 << bit
				if k.and(&mask) == (key{}) {
					continue
				}
				var zero key
				d := bits.OnesCount32(h.sum(&k, &mask) ^ h.sum(&zero, &mask))
				changed += d
				n++
			}
		}
	}
	if mean := float64(changed) / float64(n); mean < 15.5 || mean > 16.5 {
		t.Errorf("a bit of the key changes %.2f bits of the hash, want 16", mean)
	}
	a, b := newHasher([32]byte{}, false), newHasher([32]byte{}, false)
	if a == b {
		t.Error("two caches have the same secrets")
	}
}

// BenchmarkPatterns adds packets of one pattern in batches; compare with the others and with BenchmarkAddBatch.
func BenchmarkPatterns(b *testing.B) {
	for name, pattern := range patterns {
		b.Run(name, func(b *testing.B) {
			c, err := New(DefaultConfig())
			if err != nil {
				b.Fatal(err)
			}
			batch := make([]Packet, BatchSize)
			var i uint64
			for b.Loop() {
				p := &batch[i%BatchSize]
				*p = Packet{Time: netflow.Timestamp(i)}
				p.IPVersion = 6
				pattern(i*2654435761%(1<<19), p)
				if i++; i%BatchSize == 0 {
					c.AddBatch(batch, func(*netflow.Record) {})
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "packets/s")
		})
	}
}
