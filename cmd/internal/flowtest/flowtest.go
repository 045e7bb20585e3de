// Package flowtest runs the sessions in testdata/*.txtar of the reading commands. Each session begins in a folder with
// two streams of made-up flows, web.stream and dns.stream, and a collector's folder, store, with a finished hour.
package flowtest

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/storage"
	"github.com/caprock-net/caprock/storage/stream"
)

var update = flag.Bool("update", false, "write what the commands print into the sessions; review the difference")

// Run runs the sessions of the calling package.
func Run(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata", Setup: setup, UpdateScripts: *update})
}

var begin = time.Date(2026, 11, 21, 16, 0, 0, 0, time.UTC)

// at is a moment of the made-up hour.
func at(seconds float64) netflow.Timestamp {
	return netflow.TimestampOf(begin) + netflow.Timestamp(seconds*1e6)
}

func v4(a, b, c, d byte) netflow.Addr { return netflow.AddrFrom4([4]byte{a, b, c, d}) }

// Web and DNS are the flows of the two streams.
var (
	Web = []netflow.Record{
		{Start: at(0.25), End: at(61.484), Received: at(76), SrcAddr: v4(10, 0, 0, 1), DstAddr: v4(192, 0, 2, 80), SrcPort: 50000, DstPort: 443,
			Proto: netflow.ProtoTCP, TCPFlags: netflow.TCPSyn | netflow.TCPAck | netflow.TCPFin, Packets: 1500, Bytes: 2_000_000, IPVersion: 4,
			Input: 1, Output: 2, EndReason: netflow.EndReasonEndOfFlow, Exporter: v4(198, 51, 100, 1), ExportVersion: netflow.VersionIPFIX, VLAN: 7,
			SrcMAC: netflow.MAC{2, 0, 0, 0, 0, 1}, SrcAS: 64500, DstAS: 64501},
		{Start: at(0.5), End: at(61), Received: at(76), SrcAddr: v4(192, 0, 2, 80), DstAddr: v4(10, 0, 0, 1), SrcPort: 443, DstPort: 50000,
			Proto: netflow.ProtoTCP, TCPFlags: netflow.TCPSyn | netflow.TCPAck, Packets: 900, Bytes: 48_000, IPVersion: 4,
			Input: 2, Output: 1, EndReason: netflow.EndReasonIdle, Exporter: v4(198, 51, 100, 1), ExportVersion: netflow.VersionIPFIX},
		{Start: at(2), End: at(2), Received: at(77), SrcAddr: addr6(1), DstAddr: addr6(0x80), SrcPort: 50001, DstPort: 443,
			Proto: netflow.ProtoTCP, TCPFlags: netflow.TCPSyn, Packets: 1, Bytes: 80, IPVersion: 6, Exporter: v4(198, 51, 100, 1), ExportVersion: netflow.VersionIPFIX},
	}
	DNS = []netflow.Record{
		{Start: at(3), End: at(3.02), Received: at(80), SrcAddr: v4(10, 0, 0, 2), DstAddr: v4(192, 0, 2, 53), SrcPort: 40000, DstPort: 53,
			Proto: netflow.ProtoUDP, Packets: 2, Bytes: 140, ReversePackets: 2, ReverseBytes: 900, IPVersion: 4, Exporter: v4(198, 51, 100, 2), ExportVersion: netflow.VersionV9},
		{Start: at(4), End: at(5), Received: at(80), SrcAddr: v4(10, 0, 0, 2), DstAddr: v4(10, 0, 0, 1), DstPort: 8 << 8, ICMPType: 8,
			Proto: netflow.ProtoICMP, Packets: 2, Bytes: 168, IPVersion: 4, Exporter: v4(198, 51, 100, 2), ExportVersion: netflow.VersionV9},
	}
)

func addr6(last byte) netflow.Addr { return netflow.Addr{0: 0x20, 1: 0x01, 2: 0x0d, 3: 0xb8, 15: last} }

func setup(env *testscript.Env) error {
	env.Setenv("TZ", "UTC")
	for name, records := range map[string][]netflow.Record{"web.stream": Web, "dns.stream": DNS} {
		var out bytes.Buffer
		if err := stream.NewWriter(&out).Write(batch(records)); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(env.WorkDir, name), out.Bytes(), 0o644); err != nil {
			return err
		}
	}
	return store(filepath.Join(env.WorkDir, "store"))
}

func batch(records []netflow.Record) *netflow.Batch {
	b := netflow.NewBatch(storage.BatchRows)
	for i := range records {
		b.Append(&records[i])
	}
	return b
}

// store writes a folder as a collector leaves it.
func store(dir string) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	cfg := storage.DefaultConfig()
	cfg.Dir, cfg.Now = dir, func() time.Time { return begin.Add(80 * time.Second) }
	w, err := storage.NewWriter(cfg)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	_, err = w.WriteWait(ctx, batch(slices.Concat(Web, DNS)))
	cancel()
	return errors.Join(err, <-done)
}
