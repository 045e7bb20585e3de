package export

import (
	"testing"
	"time"

	"github.com/caprock-net/caprock/netflow"
)

// TestOptionsOverTCP: a connection begins with all that is told, and hears the statistics again without the templates.
func TestOptionsOverTCP(t *testing.T) {
	s := startServer(t, "127.0.0.1:0", nil).run()
	e := open(t, Config{
		Destinations: []string{"tcp://" + s.addr()}, Sampling: 100, TemplateEvery: 10 * time.Second, MTU: 600,
		Options: Options, Boot: second, Interfaces: func() []netflow.Interface { return []netflow.Interface{{Index: 1, Name: "eth0"}} },
	})
	const flows = 1000
	for i := range flows {
		if err := e.Export(second+netflow.Timestamp(i)*100_000, numbered(i)); err != nil { // 100 seconds
			t.Fatal(err)
		}
		if i%100 == 99 { // let the message go, with its time
			e.Flush(second + netflow.Timestamp(i)*100_000)
			s.wait("the flows", func(c serverCounts) bool { return c.flows == i+1 })
		}
	}
	stats := finish(t, e)
	balanced(t, stats, "none")
	c := s.counts()
	// Sampling once; interface, two statistics and the boot at the beginning and up to ten times more.
	if c.options < 1+4*5 || c.options > 1+4*11 || c.flows != flows || c.cut != 0 {
		t.Errorf("%+v", c)
	}
	if got := stats.Destinations[0].Datagrams; got != uint64(c.messages) {
		t.Errorf("%d messages counted, %d arrived", got, c.messages)
	}
}
