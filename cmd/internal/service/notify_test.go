package service

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
)

// manager is the other side of the socket.
func manager(t *testing.T, name string) (read func() string) {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Skip(err) // abstract names are Linux's
	}
	t.Cleanup(func() { conn.Close() })
	t.Setenv("NOTIFY_SOCKET", name)
	return func() string {
		t.Helper()
		buf := make([]byte, 1000)
		_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second))
		n, err := conn.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		return string(buf[:n])
	}
}

func TestNotify(t *testing.T) {
	for _, name := range []string{filepath.Join(t.TempDir(), "s"), "@caprock-test-" + strconv.Itoa(os.Getpid())} {
		read := manager(t, name)
		t.Setenv("WATCHDOG_USEC", "20000")
		t.Setenv("WATCHDOG_PID", strconv.Itoa(os.Getpid()))
		m, err := Connect()
		if err != nil {
			t.Fatal(err)
		}
		m.Ready("metering eth0")
		if got := read(); got != "READY=1\nSTATUS=metering eth0" {
			t.Errorf("ready: %q", got)
		}
		m.Reloading()
		if got := read(); !strings.HasPrefix(got, "RELOADING=1") || runtime.GOOS == "linux" && !strings.HasPrefix(got, "RELOADING=1\nMONOTONIC_USEC=") {
			t.Errorf("reloading: %q", got)
		}
		asked := 0
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { m.Watch(ctx, func() { asked++ }); close(done) }()
		for range 3 {
			if got := read(); got != "WATCHDOG=1" {
				t.Errorf("watchdog: %q", got)
			}
		}
		cancel()
		<-done
		if asked < 3 {
			t.Errorf("%d times asked whether it lives, 3 times said", asked)
		}
		m.Stopping()
		for got := read(); got != "STOPPING=1"; got = read() {
			if got != "WATCHDOG=1" {
				t.Errorf("stopping: %q", got)
			}
		}
	}
}

func TestNoManager(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	m, err := Connect()
	if m != nil || err != nil {
		t.Errorf("%v, %v", m, err)
	}
	m.Ready("")
	m.Stopping()
	m.Watch(t.Context(), func() { t.Error("asked") })

	t.Setenv("NOTIFY_SOCKET", filepath.Join(t.TempDir(), "nobody"))
	if _, err := Connect(); err == nil {
		t.Error("a socket that is not there: no error")
	}
}

// TestForSomebodyElse: a watchdog that another process has to answer is none of ours.
func TestForSomebodyElse(t *testing.T) {
	manager(t, filepath.Join(t.TempDir(), "s"))
	t.Setenv("WATCHDOG_USEC", "1")
	t.Setenv("WATCHDOG_PID", "1")
	m, err := Connect()
	if err != nil || m.watchdog != 0 {
		t.Errorf("watchdog %v, error %v", m.watchdog, err)
	}
}
