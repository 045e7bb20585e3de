package test

import (
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestService: a probe says to its manager when it is ready, that it lives and that it stops, and answers Prometheus,
// from inside its sandbox.
func TestService(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: a packet socket")
	}
	dir, err := os.MkdirTemp("", "caprock-service-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	name := filepath.Join(dir, "notify")
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer manager.Close()
	cmd := exec.Command(filepath.Join(bin, "probe"), "-i", "lo", "--metrics", ":0", "--summary", "none")
	cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+name, "WATCHDOG_USEC=200000")
	p := startCommand(t, "metering", cmd)
	heard := func() string {
		buf := make([]byte, 1000)
		_ = manager.SetReadDeadline(time.Now().Add(20 * time.Second))
		n, err := manager.Read(buf)
		if err != nil {
			t.Fatalf("%v\n%s", err, p.log())
		}
		return string(buf[:n])
	}
	if got := heard(); got != "READY=1\nSTATUS=metering lo" {
		t.Errorf("first: %q", got)
	}
	for range 2 {
		if got := heard(); got != "WATCHDOG=1" {
			t.Errorf("then: %q", got)
		}
	}
	address := regexp.MustCompile(`msg=metrics address=(\S+)`).FindStringSubmatch(p.log())
	if address == nil {
		t.Fatalf("no address of the metrics\n%s", p.log())
	}
	answer, err := http.Get("http://" + address[1] + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(answer.Body)
	answer.Body.Close()
	if err != nil || !strings.Contains(string(text), `caprock_probe_packets_total{source="lo"} `) {
		t.Errorf("metrics: %v\n%s", err, text)
	}
	p.stop()
	got := heard()
	for got == "WATCHDOG=1" {
		got = heard()
	}
	if got != "STOPPING=1" {
		t.Errorf("last: %q", got)
	}
}

// TestUnit holds the unit file to about what README.md says of it: versions of systemd differ.
func TestUnit(t *testing.T) {
	analyze := peer(t, "systemd-analyze")
	unit := filepath.Join("..", "scripts", "service", "caprock-probe.service")
	out, err := exec.Command(analyze, "security", "--offline=true", "--threshold=20", unit).CombinedOutput()
	if err != nil {
		t.Errorf("exposure above 2.0, or no unit: %v\n%s", err, out)
	}
	if strings.Contains(string(out), "Unknown") || strings.Contains(string(out), "ignoring") {
		t.Errorf("%s", out)
	}
}
