//go:build linux

package test

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestCollectFromFprobe: every packet that fprobe has captured is in a flow of ours, by each protocol that it speaks. It
// cannot read files, and knows IPv4 only.
func TestCollectFromFprobe(t *testing.T) {
	if testing.Short() {
		t.Skip("runs other people's programs")
	}
	name := peer(t, "fprobe")
	path, all := smallTrace(t)
	want := flowTable{}
	for k, f := range all.ipv4() {
		if k.proto == 1 { // it sends the type as source port, the code as destination port
			k.srcPort, k.dstPort = k.dstPort>>8, k.dstPort&0xff
		}
		want.add(k, f)
	}
	ready := func(p *program) bool { return strings.Contains(p.out.String(), "collector #1") } // said when the filter is set
	for _, version := range []string{"1", "5", "7"} {
		t.Run("v"+version, func(t *testing.T) {
			t.Parallel()
			near, far := cable(t)
			dir := t.TempDir()
			sink := far.collector(t, dir)
			// Stay in the foreground (-l 2), do not drop flows while they wait to be sent (-q), and export what has rested
			// for two seconds.
			p := launch(t, ready, "ip", "netns", "exec", string(far), name, "-i", wire, "-f", "ip", "-n", version,
				"-l", "2", "-s", "1", "-d", "2", "-e", "30", "-q", "10000", "-B", "4096", collectorAddress)
			near.sender(t).replay(t, path, 3000)
			eventually(t, func() bool { return stat(t, dir).Packets >= want.total().Packets },
				func() string {
					return fmt.Sprintf("%+v of %+v arrives\n%s", stat(t, dir), want.total(), p.out.String())
				})
			p.stop(syscall.SIGTERM)
			r := ended(t, sink)
			r.clean(t, r.Flows)
			want.compare(t, tableOf(t, stored(t, dir)), tolerance{noTimes: true}) // fprobe takes the time of sending
			checkRecent(t, stored(t, dir))
		})
	}
}

// checkRecent wants flows of the last minutes, that end after they have begun.
func checkRecent(t *testing.T, rows []row) {
	t.Helper()
	for i := range rows {
		if r := &rows[i]; time.Since(r.Start) > 5*time.Minute || time.Until(r.End) > 2*time.Second || r.End.Before(r.Start) {
			t.Fatalf("%+v is not of now", r)
		}
	}
}
