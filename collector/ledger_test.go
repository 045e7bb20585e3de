package collector_test

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caprock-net/caprock/collector"
	"github.com/caprock-net/caprock/netflow/pcapfile"
	"github.com/caprock-net/caprock/storage/parquet"
	"github.com/caprock-net/caprock/test/flowblast/blast"
)

// ledgerOf is the ledger in a finished file's footer.
type ledgerOf struct {
	Since, Until time.Time
	Datagrams    struct{ Received, Used, Refused, Unusable uint64 }
	Flows        struct {
		Decoded, Stored, Pending uint64
		Lost                     map[string]uint64
	}
	Exporters []struct {
		Exporter        string
		Domain, Version int
		Flows           uint64
	}
}

func ledgers(t *testing.T, dir string) (all []ledgerOf) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".parquet") {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		info, err := f.Stat()
		if err != nil {
			return err
		}
		p, err := parquet.Open(f, info.Size())
		if err != nil {
			return err
		}
		all = append(all, ledgerOf{})
		return json.Unmarshal([]byte(p.Meta()["caprock.ledger"]), &all[len(all)-1])
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// The ledger in the footer of the finished file is the account of the run.
func TestLedger(t *testing.T) {
	r := start(t, nil)
	sent := send(t, blast.Config{Destination: r.Addrs()[0].String(), Protocol: "v9", Rate: 500_000, Flows: 50_000, Distinct: 64, Domain: 42})
	r.end()
	all := ledgers(t, r.dir)
	if len(all) != 1 {
		t.Skipf("%d files: the test ran over the end of an hour", len(all))
	}
	got := all[0]
	if got.Datagrams.Received != sent.Datagrams || got.Datagrams.Used != sent.Datagrams || got.Flows.Decoded != sent.Flows ||
		got.Flows.Stored != sent.Flows || len(got.Flows.Lost) != 3 || len(got.Exporters) != 1 || got.Exporters[0].Domain != 42 ||
		got.Exporters[0].Flows != sent.Flows || got.Exporters[0].Exporter != "127.0.0.1" || !got.Until.After(got.Since) {
		t.Errorf("ledger %+v", got)
	}
}

// The ledgers of all files of a run add up to the account of the run, and each begins where the one before it ends.
func TestLedgersAddUp(t *testing.T) {
	const slots, each = 5, 20
	path := filepath.Join(t.TempDir(), "v5.pcap")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	const linkRaw = 101
	w, err := pcapfile.NewWriter(f, linkRaw)
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 3, 4, 5, 0, 0, 0, time.UTC)
	for i := range slots * each {
		v5 := make([]byte, 24+48*30)
		v5[1], v5[3] = 5, 30
		binary.BigEndian.PutUint32(v5[16:], uint32(30*i))
		size := 28 + len(v5)
		b := []byte{0x45, 0, byte(size >> 8), byte(size), 0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, 7, 192, 0, 2, 1,
			0x10, 0, 8, 7, byte((size - 20) >> 8), byte(size - 20), 0, 0}
		err := w.Write(pcapfile.Frame{Time: at.Add(time.Duration(i) * time.Hour / each).UnixNano(), WireLen: size, LinkType: linkRaw,
			Data: append(b, v5...)})
		if err != nil {
			t.Fatal(err)
		}
	}
	cfg := collector.DefaultConfig()
	cfg.Dir, cfg.Read = filepath.Join(t.TempDir(), "flows"), []string{path}
	c, err := collector.New(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Run(context.Background()); err != nil {
		t.Fatal(err)
	}
	all := ledgers(t, cfg.Dir)
	if len(all) != slots {
		t.Fatalf("%d files, want %d", len(all), slots)
	}
	var datagrams, decoded, stored, flows uint64
	for i, l := range all {
		if i > 0 && !l.Since.Equal(all[i-1].Until) {
			t.Errorf("ledger %d begins at %v, the one before it ends at %v", i, l.Since, all[i-1].Until)
		}
		datagrams += l.Datagrams.Received
		decoded += l.Flows.Decoded
		stored += l.Flows.Stored
		for _, e := range l.Exporters {
			flows += e.Flows
		}
	}
	const want = slots * each
	if datagrams != want || decoded != want*30 || stored != want*30 || flows != want*30 {
		t.Errorf("%d datagrams, %d decoded, %d stored, %d by exporter; want %d and %d flows", datagrams, decoded, stored, flows, want, want*30)
	}
}
