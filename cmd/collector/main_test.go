package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/caprock-net/caprock/netflow/pcapfile"
	"github.com/caprock-net/caprock/test/flowblast/blast"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"collector": main})
}

// TestSessions runs the sessions in testdata. Beside the usual commands they have
//
//	listening              waits until something receives at $ADDR
//	blast PROTOCOL FLOWS   sends that many flows to $ADDR (see package blast)
//	signal NAME            sends TERM, INT, HUP or USR1 to the program last put into the background
//	capture FILE PROTOCOL FLOWS
//	                       writes the same datagrams into a capture, from 192.0.2.7
//	files N DIR PATTERN    wants so many files of such a name below DIR
func TestSessions(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(env *testscript.Env) error {
			c, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
			if err != nil {
				return err
			}
			defer c.Close()
			env.Setenv("ADDR", c.LocalAddr().String())
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"listening": func(ts *testscript.TestScript, _ bool, _ []string) {
				ts.Check(listening(ts.Getenv("ADDR")))
			},
			"blast": func(ts *testscript.TestScript, _ bool, args []string) {
				flows, err := strconv.ParseUint(args[1], 10, 64)
				ts.Check(err)
				ts.Check(send(ts.Getenv("ADDR"), args[0], flows))
			},
			"capture": func(ts *testscript.TestScript, _ bool, args []string) {
				flows, err := strconv.ParseUint(args[2], 10, 64)
				ts.Check(err)
				ts.Check(capture(ts.MkAbs(args[0]), args[1], flows))
			},
			"files":  files,
			"signal": sendSignal,
		},
	})
}

func listening(address string) error {
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		c, err := net.ListenPacket("udp", address)
		if errors.Is(err, syscall.EADDRINUSE) {
			return nil
		}
		if err != nil {
			return err
		}
		c.Close()
	}
	return fmt.Errorf("nobody receives at %s", address)
}

func send(address, protocol string, flows uint64) error {
	s, err := blast.New(blast.Config{Destination: address, Protocol: protocol, Rate: 200_000, Flows: flows, Distinct: 64})
	if err != nil {
		return err
	}
	defer s.Close()
	_, err = s.Run(context.Background())
	return err
}

// capture writes what send sends into a file of raw IP packets.
func capture(path, protocol string, flows uint64) error {
	c, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return err
	}
	defer c.Close()
	if err := send(c.LocalAddr().String(), protocol, flows); err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	const linkRaw = 101
	w, err := pcapfile.NewWriter(f, linkRaw)
	if err != nil {
		return err
	}
	buf := make([]byte, 1<<16)
	for at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC); ; at = at.Add(time.Millisecond) {
		c.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		n, err := c.Read(buf)
		if err != nil {
			return f.Sync()
		}
		size := 28 + n
		b := []byte{0x45, 0, byte(size >> 8), byte(size), 0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, 7, 192, 0, 2, 1,
			0x10, 0, 8, 7, byte((size - 20) >> 8), byte(size - 20), 0, 0}
		b = append(b, buf[:n]...)
		if err := w.Write(pcapfile.Frame{Time: at.UnixNano(), WireLen: len(b), LinkType: linkRaw, Data: b}); err != nil {
			return err
		}
	}
}

// files wants so many files with a name that the pattern fits, at any depth below the folder.
func files(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	var found []string
	ts.Check(filepath.WalkDir(ts.MkAbs(args[1]), func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			var ok bool
			if ok, err = filepath.Match(args[2], d.Name()); ok {
				found = append(found, path)
			}
		}
		return err
	}))
	if len(found) != want {
		ts.Fatalf("%d files fit %s, want %d: %v", len(found), args[2], want, found)
	}
}

func sendSignal(ts *testscript.TestScript, _ bool, args []string) {
	s, ok := map[string]syscall.Signal{"TERM": syscall.SIGTERM, "INT": syscall.SIGINT, "HUP": syscall.SIGHUP, "USR1": syscall.SIGUSR1}[args[0]]
	running := ts.BackgroundCmds()
	if !ok || len(running) == 0 {
		ts.Fatalf("signal %s: unknown, or nothing runs", args[0])
	}
	ts.Check(running[len(running)-1].Process.Signal(s))
}
