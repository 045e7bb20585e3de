// Package service tells a service manager how a program stands, as systemd's sd_notify(3) defines it: datagrams of lines
// NAME=VALUE to the socket that $NOTIFY_SOCKET names. Without one nothing is told.
package service

import (
	"context"
	"net"
	"os"
	"strconv"
	"time"
)

// Manager is the service manager. A nil one hears nothing.
type Manager struct {
	conn     *net.UnixConn
	watchdog time.Duration // 0: none
}

// Connect opens the socket, which works from then on also where nothing else can be opened.
func Connect() (*Manager, error) {
	name := os.Getenv("NOTIFY_SOCKET")
	if name == "" {
		return nil, nil
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: name, Net: "unixgram"}) // @ begins an abstract name
	if err != nil {
		return nil, err
	}
	m := &Manager{conn: conn}
	pid, usec := os.Getenv("WATCHDOG_PID"), os.Getenv("WATCHDOG_USEC")
	if n, err := strconv.ParseInt(usec, 10, 64); err == nil && n > 0 && (pid == "" || pid == strconv.Itoa(os.Getpid())) {
		m.watchdog = time.Duration(n) * time.Microsecond
	}
	return m, nil
}

// Ready says that the program does its work now, and how, in a line for people.
func (m *Manager) Ready(status string) { m.tell("READY=1\nSTATUS=" + status) }

// Reloading says that settings are being reloaded, until Ready.
func (m *Manager) Reloading() {
	text := "RELOADING=1"
	if now := monotonic(); now != 0 {
		text += "\nMONOTONIC_USEC=" + strconv.FormatInt(now, 10)
	}
	m.tell(text)
}

// Stopping says that it ends in order.
func (m *Manager) Stopping() { m.tell("STOPPING=1") }

// Watch says until ctx ends that the program lives, twice as often as it has to, each time that alive returns. A program
// that hangs in alive is started anew by the manager.
func (m *Manager) Watch(ctx context.Context, alive func()) {
	if m == nil || m.watchdog == 0 {
		return
	}
	tick := time.NewTicker(m.watchdog / 2)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			alive()
			m.tell("WATCHDOG=1")
		case <-ctx.Done():
			return
		}
	}
}

// tell sends a message. Should it not arrive the manager does what it does to a program that does not answer.
func (m *Manager) tell(text string) {
	if m != nil {
		_, _ = m.conn.Write([]byte(text))
	}
}
