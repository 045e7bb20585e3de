// Package collector takes NetFlow and IPFIX datagrams in and keeps their flows in a folder.
//
// A Collector wires three stages: sockets (package listen) or captures (package replay) give datagrams, a decoder for each
// socket (package decode) puts their flows into a Batch, and one storage.Writer puts the batches into files. New binds the
// sockets and takes the folder; Run works until its context ends, and then finishes what has arrived.
//
// Nothing is lost without being counted. Where a stage cannot keep up:
//
//   - the kernel's receive buffer is full: the kernel drops datagrams; counted as datagrams, for nobody has seen inside.
//   - the storage's queue is full: the flows of the newest datagrams are dropped; counted as flows. Their datagrams have
//     been decoded, so templates and sequence numbers stay right. Reading captures, the collector waits instead.
//   - a datagram, or a part of it, makes no sense or has no template: counted by the decoder, by exporter and reason.
//
// So datagrams received = refused + decoded, and flows decoded = stored + pending + lost, exactly (see Stats); the same
// figures stand in the footer of each file (see Ledger).
package collector

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caprock-net/caprock/collector/decode"
	"github.com/caprock-net/caprock/collector/listen"
	"github.com/caprock-net/caprock/collector/replay"
	"github.com/caprock-net/caprock/storage"
)

// lastWrites bounds how long a collector that ends waits for the storage to take the last batches.
const lastWrites = 3 * time.Second

// A receive buffer below smallBuffer is warned of; bufferLimit is what an operator raises.
const (
	smallBuffer = 4 << 20
	bufferLimit = "net.core.rmem_max (BSD: kern.ipc.maxsockbuf)"
)

// Collector receives, decodes and stores. Its Stats may be asked for at any time.
type Collector struct {
	cfg     Config
	log     *slog.Logger
	started time.Time
	sockets []*listen.Socket
	lanes   []*lane
	writer  *storage.Writer
	ledger  ledger
	ready   atomic.Bool // New is done
	ended   atomic.Bool // the sources have, and all flows are handed over

	// Reading captures.
	clock    atomic.Int64  // nanoseconds since 1970 of the last datagram
	replayed atomic.Uint64 // datagrams so far
	mu       sync.Mutex
	captures replay.Stats // of the captures that have been read
}

// New checks the configuration, binds the sockets and takes the folder, with what a crash may have left in it. The caller
// calls Run, or Close.
func New(ctx context.Context, cfg Config) (_ *Collector, err error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	c := &Collector{cfg: cfg, log: cfg.Logger, started: time.Now()}
	defer func() {
		if err != nil {
			c.Close()
		}
	}()
	lanes := 1
	if len(cfg.Read) == 0 {
		// Before anything else: what arrives from now on waits in the sockets.
		if c.sockets, err = listen.Listen(ctx, cfg.Listen, cfg.ReceiveBuffer); err != nil {
			return nil, err
		}
		lanes = len(c.sockets)
	}
	for _, s := range c.sockets {
		asked, got := s.ReceiveBuffer()
		c.log.Info("listening", "address", s.Addr().String(), "receive_buffer", got, "asked", asked)
		if got < asked && got < smallBuffer {
			c.log.Warn("the receive buffer is small: bursts will be lost; raise "+bufferLimit+" or start with more privileges",
				"address", s.Addr().String(), "receive_buffer", got)
		}
	}
	if err := os.MkdirAll(cfg.Dir, 0o755); err != nil {
		return nil, err
	}
	sc := cfg.storage()
	sc.Ledger = c.ledgerJSON
	if len(cfg.Read) > 0 {
		c.clock.Store(time.Now().UnixNano())
		sc.Now = func() time.Time { return time.Unix(0, c.clock.Load()) }
	}
	if c.writer, err = storage.NewWriter(sc); err != nil {
		return nil, err
	}
	for range lanes {
		d := decode.New(decode.Config{Logger: cfg.Logger})
		c.lanes = append(c.lanes, newLane(c.writer, d, cfg.Allow))
	}
	c.ready.Store(true)
	return c, nil
}

// Addrs returns the addresses that the sockets are bound to.
func (c *Collector) Addrs() []netip.AddrPort {
	var addrs []netip.AddrPort
	for _, s := range c.sockets {
		addrs = append(addrs, s.Addr())
	}
	return addrs
}

// Close gives sockets and folder back. It is for a Collector whose Run is not called.
func (c *Collector) Close() error {
	var errs []error
	for _, s := range c.sockets {
		errs = append(errs, s.Close())
	}
	if c.writer != nil {
		errs = append(errs, c.writer.Close())
	}
	return errors.Join(errs...)
}

// Run collects until ctx ends or the captures do, finishes what has arrived by then, and closes sockets and folder. It
// returns nil after an orderly end.
func (c *Collector) Run(ctx context.Context) error {
	c.log.Info("collecting", "folder", c.cfg.Dir, "rotate", c.cfg.Rotate.String())
	// The storage and the watcher end after the sources, not with them.
	after, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var storing, watching sync.WaitGroup
	var stored error
	storing.Go(func() { stored = c.writer.Run(after) })
	watching.Go(func() { c.watch(after) })

	var err error
	if len(c.cfg.Read) > 0 {
		err = c.replay(ctx)
	} else {
		err = c.listen(ctx)
	}
	err = errors.Join(err, c.flush())
	c.ended.Store(true)
	stop()
	watching.Wait()
	storing.Wait()
	c.logSummary("stopped", c.Stats())
	return errors.Join(err, stored)
}

// listen runs the sockets until ctx ends or one of them fails.
func (c *Collector) listen(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	context.AfterFunc(ctx, func() { c.log.Info("stopping") })
	errs := make([]error, len(c.sockets))
	var sockets sync.WaitGroup
	for i, s := range c.sockets {
		sockets.Go(func() {
			errs[i] = s.Run(ctx, c.lanes[i])
			cancel() // one that fails ends all
		})
	}
	sockets.Wait()
	return errors.Join(errs...)
}

// flush hands the last, partly filled batches to the storage.
func (c *Collector) flush() error {
	ctx, cancel := context.WithTimeout(context.Background(), lastWrites)
	defer cancel()
	var errs []error
	for _, l := range c.lanes {
		n := l.batch.Len()
		b, err := c.writer.WriteWait(ctx, l.batch)
		if err != nil {
			l.unfinished.Add(uint64(n))
			errs = append(errs, fmt.Errorf("%d flows are lost: the storage does not take them: %w", n, err))
		}
		l.batch = b
	}
	return errors.Join(errs...)
}

// replay reads the captures, one after the other. A damaged one gives what it has and does not keep the others from being
// read; its error is returned in the end.
func (c *Collector) replay(ctx context.Context) error {
	var errs []error
	for _, path := range c.cfg.Read {
		r, err := replay.Open(path, c.cfg.Port)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		err = c.replayFile(ctx, r)
		s := r.Stats()
		c.mu.Lock()
		c.captures.Add(s)
		c.mu.Unlock()
		errs = append(errs, err, r.Close())
		if ctx.Err() != nil {
			errs = append(errs, fmt.Errorf("stopped before the end of %s", path))
			break
		}
		c.log.Info("capture read", "file", path, "frames", s.Frames, "datagrams", s.Datagrams, "not_udp", s.NotUDP,
			"not_export", s.NotExport, "other_port", s.OtherPort, "malformed", s.Malformed, "cut", s.Cut)
	}
	return errors.Join(errs...)
}

func (c *Collector) replayFile(ctx context.Context, r *replay.Reader) error {
	l := c.lanes[0]
	for ctx.Err() == nil {
		d, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		c.clock.Store(int64(d.Received) * 1000)
		c.replayed.Add(1)
		if !l.admits(&d) {
			continue
		}
		for errors.Is(l.decoder.Decode(l.batch, &d), decode.ErrFull) {
			if l.batch, err = c.writer.WriteWait(ctx, l.batch); err != nil {
				return nil // ctx has ended
			}
		}
	}
	return nil
}
