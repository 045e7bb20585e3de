package test

import (
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// numbered sends flows that carry their own number in the bytes counter, and remembers when each was sent.
type numbered struct {
	conn net.Conn
	sent []time.Time // of flow number i+1
}

const perDatagram = 30

// send sends the next datagram of 30 flows.
func (n *numbered) send() {
	now := time.Now()
	first := uint64(len(n.sent)) + 1
	datagram := make([]byte, 0, 1500)
	datagram = append(datagram, 0, 5, 0, perDatagram)
	uptime := uint32(1_000_000)
	datagram = be32(datagram, uptime, uint32(now.Unix()), uint32(now.Nanosecond()), uint32(first-1), 0)
	for i := range uint64(perDatagram) {
		datagram = be32(datagram, 10<<24|uint32(first+i)&0xffff, 10<<24|1<<16, 0, 0, 1, uint32(first+i), uptime, uptime)
		datagram = be32(datagram, 1000<<16|53, 17<<8, 0, 0)
		n.sent = append(n.sent, now)
	}
	n.conn.Write(datagram) // refused while the collector is down: that is what the test is about
}

func be32(dst []byte, values ...uint32) []byte {
	for _, v := range values {
		dst = append(dst, byte(v>>24), byte(v>>16), byte(v>>8), byte(v))
	}
	return dst
}

// numbers reads back the numbers of all flows that are stored, and wants each once.
func numbers(t *testing.T, dir string) map[uint64]bool {
	t.Helper()
	out, stderr, err := try(t, "", "flowprint", "-o", "csv", dir)
	if err != nil {
		t.Errorf("flowprint: %v\n%s", err, stderr)
		return nil
	}
	titles, rows, _ := strings.Cut(out, "\n")
	column := -1
	for i, title := range strings.Split(titles, ",") {
		if title == "bytes" {
			column = i
		}
	}
	seen := map[uint64]bool{}
	for row := range strings.Lines(rows) {
		id, err := strconv.ParseUint(strings.Split(row, ",")[column], 10, 64)
		if err != nil {
			t.Errorf("row %q: %v", row, err)
			return seen
		}
		if seen[id] {
			t.Errorf("flow %d is there twice", id)
			return seen
		}
		seen[id] = true
	}
	return seen
}

// TestKillsLoseAtMostASecond kills the collector at random moments under load. Of the flows sent while it was up, only
// those of the last second before a kill may be missing; readers never fail, see no flow twice, and never see one vanish.
func TestKillsLoseAtMostASecond(t *testing.T) {
	kills := 20
	if testing.Short() {
		kills = 4
	}
	dir := t.TempDir()
	sink, address := collector(t, dir)
	conn, err := net.Dial("udp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	sender := &numbered{conn: conn}

	var stop atomic.Bool
	var readers sync.WaitGroup
	var reads int
	readers.Go(func() {
		before := map[uint64]bool{}
		for !stop.Load() && !t.Failed() {
			now := numbers(t, dir)
			for id := range before {
				if !now[id] {
					t.Errorf("flow %d was there and is gone", id)
					return
				}
			}
			before = now
			reads++
		}
	})

	// down are the times when flows may get lost: from a second before a kill until the next start.
	type span struct{ from, to time.Time }
	var down []span
	rnd := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 0))
	for range kills {
		for until := time.Now().Add(time.Duration(600+rnd.IntN(1500)) * time.Millisecond); time.Now().Before(until); time.Sleep(time.Millisecond) {
			sender.send()
		}
		killed := time.Now()
		sink.kill()
		port := strings.TrimPrefix(address, "127.0.0.1:")
		sink = start(t, "listening", "collector", "-w", dir, "-l", "127.0.0.1:"+port)
		down = append(down, span{killed.Add(-time.Second), time.Now()})
	}
	for range 300 {
		sender.send()
		time.Sleep(time.Millisecond)
	}
	sink.stop()
	stop.Store(true)
	readers.Wait()

	stored := numbers(t, dir)
	lost := 0
	for i, at := range sender.sent {
		if stored[uint64(i)+1] {
			continue
		}
		lost++
		excused := false
		for _, d := range down {
			excused = excused || !at.Before(d.from) && !at.After(d.to)
		}
		if !excused {
			t.Errorf("flow %d is lost, more than a second before the next kill", i+1)
		}
	}
	if len(stored)+lost != len(sender.sent) {
		t.Errorf("%d stored and %d lost of %d sent", len(stored), lost, len(sender.sent))
	}
	t.Logf("%d kills: %d flows sent, %d lost; %d reads meanwhile", kills, len(sender.sent), lost, reads)
}
