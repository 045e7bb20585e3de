package archive

import (
	"fmt"
	"testing"
	"time"

	"github.com/caprock-net/caprock/probe/dissect"
)

// BenchmarkRecord is what the goroutine that captures does for a packet. Nothing is written.
func BenchmarkRecord(b *testing.B) {
	for _, snapLen := range []int{80, 256, 1500} {
		b.Run(fmt.Sprint(snapLen), func(b *testing.B) {
			packets := generated(b, 20_000, snapLen, time.Second)
			a := newArchive(b, Config{Dir: b.TempDir()})
			defer a.Close()
			r := a.NewRecorder(false)
			var taken []*block
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				p := &packets[i%len(packets)]
				due := r.Add(dissect.LinkEthernet, p.Time, p.WireLen, p.Data)
				if due || i%32 == 31 {
					due = due || len(r.ready) > 0
					r.Commit(p.Time)
					if due {
						taken = a.queue.Take(taken)
						for _, k := range taken {
							a.queue.Release(k)
						}
					}
				}
				i++
			}
		})
	}
}

// BenchmarkWrite is what the goroutine of the files does for a packet.
func BenchmarkWrite(b *testing.B) {
	packets := generated(b, 5_000, 200, time.Second)
	a := newArchive(b, Config{Dir: b.TempDir(), Size: 16 << 20, MaxBytes: 64 << 20, Rotate: time.Hour})
	defer a.Close()
	k := &block{link: dissect.LinkEthernet, start: packets[0].Time}
	for i := range packets {
		if len(k.data) > BlockSize-300 {
			break
		}
		k.data = appendPacket(k.data, &packets[i])
		k.packets++
	}
	for b.Loop() {
		a.write(k)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(k.packets), "ns/packet")
}
