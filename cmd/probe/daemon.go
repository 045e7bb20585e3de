package main

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/caprock-net/caprock/cmd/internal/service"
	"github.com/caprock-net/caprock/probe"
)

// daemon is how a probe that runs for long is watched: by a service manager and by Prometheus, if they are there.
type daemon struct {
	manager *service.Manager
	scraper *scraper
	status  string
	stop    context.CancelFunc
	running sync.WaitGroup
}

// openDaemon opens the sockets.
func openDaemon(metrics string) (*daemon, error) {
	d := &daemon{stop: func() {}}
	var err error
	if d.manager, err = service.Connect(); err != nil {
		return nil, fmt.Errorf("service manager ($NOTIFY_SOCKET): %w", err)
	}
	if d.scraper, err = openScraper(metrics); err != nil {
		return nil, err
	}
	return d, nil
}

// start says that the probe is ready, until close that it lives, and when ctx ends that it is stopping.
func (d *daemon) start(ctx context.Context, p *probe.Probe, c *probe.Config) {
	d.scraper.start(p.Summary, c.Logger)
	d.status = "metering " + strings.Join(append(c.Interfaces, c.Files...), " ")
	d.manager.Ready(d.status)
	watching, stop := context.WithCancel(context.Background())
	stopping := context.AfterFunc(ctx, d.manager.Stopping)
	d.stop = func() { stopping(); stop() }
	// A probe lives when its meters let themselves be looked at.
	d.running.Go(func() { d.manager.Watch(watching, func() { p.Progress() }) })
}

// reloading tells the manager that f is under way, and then that the probe is ready again.
func (d *daemon) reloading(f func()) {
	d.manager.Reloading()
	f()
	d.manager.Ready(d.status)
}

func (d *daemon) close() {
	d.stop()
	d.running.Wait()
	d.scraper.stop()
}
