package main

import (
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/caprock-net/caprock/probe"
)

func TestMetrics(t *testing.T) {
	s, err := openScraper(":0")
	if err != nil {
		t.Fatal(err)
	}
	summary := probe.Summary{
		Sources: []probe.SourceSummary{{Name: "eth0", Packets: 11, WireBytes: 22, Dropped: 3}, {Name: `x"y`, Packets: 1}},
		Packets: probe.PacketSummary{Metered: 9, NonIP: 2},
		Flows:   probe.FlowSummary{Idle: 4, Held: probe.Tally{Flows: 5}},
		Export: &probe.ExportSummary{QueueFull: probe.Tally{Flows: 6}, Collectors: []probe.DestinationSummary{
			{Name: "a:1", Exported: probe.Tally{Flows: 7}, Lost: map[string]probe.Tally{"refused": {Flows: 8}}}, {Name: "b:2"}}},
	}
	s.start(func() probe.Summary { return summary }, slog.New(slog.DiscardHandler))
	defer s.stop()
	address := s.listener.Addr().String()
	if !strings.HasPrefix(address, "127.0.0.1:") {
		t.Errorf("listens at %s", address)
	}
	for path, status := range map[string]int{"/metrics": 200, "/": 404, "/debug/pprof/": 404} {
		r, err := http.Get("http://" + address + path)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r.Body)
		r.Body.Close()
		if err != nil || r.StatusCode != status {
			t.Errorf("%s: status %d, error %v, want %d", path, r.StatusCode, err, status)
		}
		if status != 200 {
			continue
		}
		for _, line := range []string{
			`caprock_probe_packets_total{source="eth0"} 11`, `caprock_probe_packets_total{source="x\"y"} 1`,
			`caprock_probe_kernel_dropped_packets_total{source="eth0"} 3`, `caprock_probe_unmetered_packets_total{reason="non_ip"} 2`,
			`caprock_probe_ended_flows_total{reason="idle"} 4`, `caprock_probe_held_flows 5`, `caprock_probe_unexported_flows_total{reason="queue_full"} 6`,
			`caprock_probe_exported_flows_total{collector="a:1"} 7`, `caprock_probe_lost_flows_total{collector="a:1",reason="refused"} 8`,
			`# TYPE caprock_probe_metered_packets_total counter`,
		} {
			if !strings.Contains(string(text), line+"\n") {
				t.Errorf("no line %s in\n%s", line, text)
			}
		}
	}
	s.stop()
	if _, err := http.Get("http://" + address + "/metrics"); err == nil {
		t.Error("answers after stop")
	}

	if s, err := openScraper(""); s != nil || err != nil {
		t.Errorf("no address: %v, %v", s, err)
	}
	for _, bad := range []string{"9100", "256.1.1.1:1", "127.0.0.1:x"} {
		if _, err := openScraper(bad); err == nil {
			t.Errorf("%s: no error", bad)
		}
	}
}
