package probe

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/caprock-net/caprock/probe/account"
	"github.com/caprock-net/caprock/probe/console"
	"github.com/caprock-net/caprock/test/trace"
)

// TestAccounting: the table has every packet and byte that was metered, with and without ports.
func TestAccounting(t *testing.T) {
	dir := t.TempDir()
	var capture bytes.Buffer
	c := trace.DefaultConfig()
	c.Packets, c.Flows = 5000, 300
	if _, err := trace.Write(&capture, c); err != nil {
		t.Fatal(err)
	}
	file, dump := filepath.Join(dir, "trace.pcap"), filepath.Join(dir, "dump")
	if err := os.WriteFile(file, capture.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, ports := range []bool{false, true} {
		cfg := DefaultConfig()
		cfg.Files = []string{file}
		cfg.Accounting = Accounting{On: true, Table: account.Config{Ports: ports}, Save: dump,
			Console: console.Config{Control: filepath.Join(dir, "probe.sock")}}
		p, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Run(context.Background()); err != nil {
			t.Fatal(err)
		}
		table, err := account.New(account.Config{Ports: ports}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := console.Load(dump, table); err != nil {
			t.Fatal(err)
		}
		var packets, octets uint64
		table.View(false).Rows(true, func(r *account.Row) bool {
			packets += r.Packets
			octets += r.Bytes
			return true
		})
		if s := p.Summary(); packets != s.Packets.Metered || octets != s.Packets.IPBytes || packets == 0 {
			t.Errorf("ports %v: %d packets, %d bytes; metered %d, %d", ports, packets, octets, s.Packets.Metered, s.Packets.IPBytes)
		}
	}
}
