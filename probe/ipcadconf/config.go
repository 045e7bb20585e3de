// Package ipcadconf reads IPCAD's configuration file, ipcad.conf(5), into values: [Parse] takes the text, [Config] is what it
// says. What to make of it is for the program that runs a probe.
//
// Statements end with a semicolon, which may be missing at the end of the file. An unknown statement, or one with words that
// it does not take, is an [Error] with its line.
package ipcadconf

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/caprock-net/caprock/probe/account"
	"github.com/caprock-net/caprock/probe/console"
)

// Config is what a file says. A nil pointer and an empty text were not said.
type Config struct {
	Interfaces []Interface
	Networks   []account.Network
	Ranges     []account.PortRange

	RSH     bool
	At      netip.Addr // with RSH; invalid: all addresses
	Access  []console.Rule
	TTL     int
	Timeout time.Duration // of a session of rsh

	Buffers     int64 // bytes
	MemoryLimit int64 // bytes; with Entries: their number
	Entries     bool
	DumpFile    string
	Chroot      string
	PidFile     string
	UID, GID    string

	Destinations     []netip.AddrPort
	Version          int            // of NetFlow; 0: not said
	Active, Inactive *time.Duration // timeouts
	EngineType       *uint8
	EngineID         *uint8
	Classes          []Class
	SampleInterval   int // one packet in so many, for interfaces with Sampled; 0: not said
}

// Interface is what packets come from.
type Interface struct {
	Line  int
	Kind  string // "" for a network interface, or file, ulog, ipq, divert, tee
	Name  string // of the interface or file; groups or port of the others
	Ports bool   // capture-ports was on

	Promiscuous, InputOnly, Sampled, NoNetFlow bool
	Filter                                     string
}

// Class numbers a class of interfaces.
type Class struct {
	Name        string
	First, Last uint16
	Line        int
}

// Error is a mistake in a file.
type Error struct {
	Line int
	Text string
}

// Error implements error.
func (e *Error) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Text) }

// Defaults that IPCAD has and a Config need not say.
const (
	DefaultVersion  = 5
	DefaultActive   = 30 * time.Minute
	DefaultInactive = 15 * time.Second
)
