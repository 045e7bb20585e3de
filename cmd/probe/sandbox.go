package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"

	"github.com/caprock-net/caprock/probe"
	"github.com/caprock-net/caprock/probe/sandbox"
)

// jail are the flags about what is left to the process.
type jail struct {
	user, chroot string
	off          bool
	reload       string                                        // file of settings that is read again later; "": there is none
	enter        func(sandbox.Config) (*sandbox.Report, error) // nil in tests, whose process goes on
}

func (j *jail) register(f *pflag.FlagSet) {
	f.StringVar(&j.user, "user", "", "become `NAME[:GROUP]` when all is open; root: stay, without its powers (default for root: "+sandbox.DefaultUser+")")
	f.StringVar(&j.chroot, "chroot", "", "make `DIR` the root of the file system when all is open")
	f.BoolVar(&j.off, "no-sandbox", false, "keep what privileges there are, files, sockets and system calls included")
}

// config says what a probe needs when all is open.
func (j *jail) config(c *probe.Config) sandbox.Config {
	s := sandbox.Config{User: j.user, Chroot: j.chroot, ReadAll: len(c.Files) > 0}
	for _, name := range c.Files {
		if name != "-" {
			s.Readable = append(s.Readable, name)
		}
	}
	if c.Archive.Dir != "" {
		s.Writable = append(s.Writable, c.Archive.Dir)
	}
	if j.reload != "" && len(c.Interfaces) > 0 {
		s.Reread = append(s.Reread, j.reload)
	}
	// A collector may be another one later, a route to it may come, or another address of our own.
	s.Datagrams = len(c.Interfaces) > 0 && len(c.Export.Destinations) > 0
	shareAccounting(&c.Accounting, &s)
	for _, d := range c.Export.Destinations {
		if transport, rest, ok := strings.Cut(d, "://"); ok {
			s.Connect = s.Connect || transport != "udp"
			d = rest
		}
		host, _, err := net.SplitHostPort(d)
		if err != nil || host == "" {
			continue
		}
		if _, err := netip.ParseAddr(host); err != nil {
			s.Resolve = true
		}
	}
	return s
}

// validate reports what is wrong with the flags.
func (j *jail) validate(c *probe.Config) error {
	if j.off {
		if j.user != "" || j.chroot != "" {
			return errors.New("with --no-sandbox there is no --user and no --chroot")
		}
		return nil
	}
	if j.chroot != "" && len(c.Files) > 0 {
		return fmt.Errorf("chroot %s: files to read are outside of it", j.chroot)
	}
	s := j.config(c)
	if j.chroot != "" && len(s.Writable) > 0 {
		return fmt.Errorf("chroot %s: %s, which is written to, is outside of it; without --chroot the sandbox leaves that folder and no other", j.chroot, s.Writable[0])
	}
	return s.Validate()
}

// shut shuts the process in. All that it will use must be open.
func (j *jail) shut(c *probe.Config, log *slog.Logger) error {
	switch {
	case j.off && len(c.Interfaces) > 0:
		log.Warn("no sandbox: the process keeps its privileges")
		return nil
	case j.off || j.enter == nil:
		return nil
	}
	s := j.config(c)
	if s.Connect {
		_, _ = x509.SystemCertPool() // read once; what is missing is told when a certificate cannot be verified
	}
	if s.Resolve && s.Chroot != "" {
		if _, err := os.Stat(filepath.Join(s.Chroot, "etc/resolv.conf")); err != nil {
			log.Warn("collectors keep the addresses that their names have now: in the new root there is no resolver", "err", err)
		}
	}
	r, err := j.enter(s)
	if err != nil {
		return fmt.Errorf("sandbox: %w\n  --no-sandbox does without", err)
	}
	level, levelMissing := slog.LevelInfo, slog.LevelWarn
	if len(c.Files) > 0 {
		level, levelMissing = slog.LevelDebug, slog.LevelDebug
	}
	if len(r.Missing) > 0 {
		level = levelMissing
	}
	log.Log(context.Background(), level, "shut in", "sandbox", r)
	return nil
}
