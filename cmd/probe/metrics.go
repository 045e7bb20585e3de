package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/caprock-net/caprock/cmd/internal/cli"
	"github.com/caprock-net/caprock/probe"
)

// scraper is the HTTP server for Prometheus: GET /metrics. There is one only with --metrics.
type scraper struct {
	listener net.Listener
	server   *http.Server
}

// openScraper listens at an address; without a host that is the loopback interface's. nil: the address is empty.
func openScraper(address string) (*scraper, error) {
	if address == "" {
		return nil, nil
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	if host == "" {
		host = "127.0.0.1"
	}
	l, err := net.Listen("tcp", net.JoinHostPort(host, port))
	if err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	return &scraper{listener: l}, nil
}

// start answers until stop. A summary is taken for each answer, of which there is one at a time: the packets' path has
// nothing to do with it.
func (s *scraper) start(summary func() probe.Summary, log *slog.Logger) {
	if s == nil {
		return
	}
	r := prometheus.NewRegistry()
	r.MustRegister(metrics(summary))
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(r, promhttp.HandlerOpts{MaxRequestsInFlight: 1}))
	const patience = 10 * time.Second
	s.server = &http.Server{
		Handler: mux, ReadTimeout: patience, WriteTimeout: patience, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	log.Info("metrics", "address", s.listener.Addr().String())
	go func() {
		if err := s.server.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
			log.Error("metrics are no longer served", "err", err)
		}
	}()
}

// stop lets an answer that is under way be finished.
func (s *scraper) stop() {
	if s == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if s.server == nil || s.server.Shutdown(ctx) != nil {
		_ = s.listener.Close()
	}
}

// metrics makes them of a summary when they are asked for. Their labels are interfaces, collectors and fixed reasons: what
// comes from the network makes no new ones.
type metrics func() probe.Summary

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("caprock_probe_"+name, help, labels, nil)
}

var (
	descBuild     = describe("build_info", "1; the label says which version this is.", "version")
	descPackets   = describe("packets_total", "Packets read from an interface or file.", "source")
	descBytes     = describe("wire_bytes_total", "Bytes of the packets read, link headers included.", "source")
	descDropped   = describe("kernel_dropped_packets_total", "Packets that the kernel dropped because its buffer was full.", "source")
	descDowns     = describe("interface_downs_total", "Times that an interface went down.", "source")
	descMetered   = describe("metered_packets_total", "Packets counted in flows.")
	descIPBytes   = describe("metered_bytes_total", "IP bytes counted in flows.")
	descUnmetered = describe("unmetered_packets_total", "Packets read and not counted in flows, by reason.", "reason")
	descEnded     = describe("ended_flows_total", "Flows that ended, by reason.", "reason")
	descHeld      = describe("held_flows", "Flows that have not ended.")
	descNotSent   = describe("unexported_flows_total", "Flows that no collector got, by reason.", "reason")
	descSent      = describe("exported_flows_total", "Flows sent to a collector.", "collector")
	descDatagrams = describe("exported_datagrams_total", "Datagrams, or messages of a stream, sent to a collector.", "collector")
	descOctets    = describe("exported_bytes_total", "Bytes sent to a collector, without UDP, TCP and IP headers.", "collector")
	descTapped    = describe("tapped_packets_total", "Packets sent on at the interface of --tap.", "interface")
	descUntapped  = describe("untapped_packets_total", "Packets not sent on there, by reason.", "interface", "reason")
	descLost      = describe("lost_flows_total", "Flows that could not be sent to a collector, by reason.", "collector", "reason")
)

// Describe implements prometheus.Collector.
func (m metrics) Describe(d chan<- *prometheus.Desc) { prometheus.DescribeByCollect(m, d) }

// Collect implements prometheus.Collector.
func (m metrics) Collect(out chan<- prometheus.Metric) {
	count := func(d *prometheus.Desc, n uint64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), labels...)
	}
	s := m()
	out <- prometheus.MustNewConstMetric(descBuild, prometheus.GaugeValue, 1, cli.Version())
	for i := range s.Sources {
		src := &s.Sources[i]
		count(descPackets, src.Packets, src.Name)
		count(descBytes, src.WireBytes, src.Name)
		count(descDropped, src.Dropped, src.Name)
		count(descDowns, src.Downs, src.Name)
	}
	count(descMetered, s.Packets.Metered)
	count(descIPBytes, s.Packets.IPBytes)
	count(descUnmetered, s.Packets.NonIP, "non_ip")
	count(descUnmetered, s.Packets.Malformed, "malformed")
	count(descUnmetered, s.Packets.UnknownLink, "unknown_link")
	count(descUnmetered, s.Packets.Filtered, "filtered")
	count(descUnmetered, s.Packets.NotSampled, "not_sampled")
	count(descEnded, s.Flows.Idle, "idle")
	count(descEnded, s.Flows.Active, "active")
	count(descEnded, s.Flows.EndOfFlow, "end_of_flow")
	count(descEnded, s.Flows.Forced, "forced")
	count(descEnded, s.Flows.Resources, "resources")
	out <- prometheus.MustNewConstMetric(descHeld, prometheus.GaugeValue, float64(s.Flows.Held.Flows))
	if t := s.Tap; t != nil {
		count(descTapped, t.Sent, t.Interface)
		count(descUntapped, t.Full, t.Interface, "queue_full")
		count(descUntapped, t.TooLong, t.Interface, "too_long")
		count(descUntapped, t.Down, t.Interface, "down")
		count(descUntapped, t.Cut, t.Interface, "cut")
		count(descUntapped, t.OtherLink, t.Interface, "other_link")
		count(descUntapped, t.Refused, t.Interface, "refused")
	}
	if s.Export == nil {
		return
	}
	count(descNotSent, s.Export.QueueFull.Flows, "queue_full")
	count(descNotSent, s.Export.IPv6.Flows, "ipv6")
	count(descNotSent, s.Export.NoAddress.Flows, "no_address")
	for i := range s.Export.Collectors {
		c := &s.Export.Collectors[i]
		count(descSent, c.Exported.Flows, c.Name)
		count(descDatagrams, c.Datagrams, c.Name)
		count(descOctets, c.DatagramBytes, c.Name)
		for reason, lost := range c.Lost {
			count(descLost, lost.Flows, c.Name, reason)
		}
	}
}
