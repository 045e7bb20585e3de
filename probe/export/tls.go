package export

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"time"
)

// TLS names the files for destinations of tls://, all PEM. They are read once, by New.
type TLS struct {
	Cert string // our certificate, and those between it and the authority's
	Key  string // its private key
	CA   string // the authorities that collectors' certificates must come from; empty: the system's
}

func (t TLS) config() (*tls.Config, error) {
	cert, err := tls.LoadX509KeyPair(t.Cert, t.Key)
	if err != nil {
		return nil, fmt.Errorf("tls certificate %s, key %s: %w", t.Cert, t.Key, err)
	}
	c := &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{cert},
	}
	if t.CA != "" {
		pem, err := os.ReadFile(t.CA)
		if err != nil {
			return nil, fmt.Errorf("tls authorities: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("tls authorities: %s has no certificate in PEM", t.CA)
		}
	}
	return c, nil
}

// serverConfig is c for one collector: its certificate must be for the name, or address, that was configured, whatever
// the resolver says (RFC 7011 section 11.3 has both sides checked).
func serverConfig(c *tls.Config, host string) *tls.Config {
	c = c.Clone()
	c.ServerName, _, _ = strings.Cut(host, "%") // without the zone of an IPv6 address
	return c
}

// connection is the part of a net.TCPConn and of a tls.Conn that a stream uses.
type connection interface {
	net.Conn
	CloseWrite() error
}

// isTLS reports whether an error is of TLS, ours or told by the other side, and not of the network below.
func isTLS(err error) bool {
	var verification *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	if errors.As(err, &verification) || errors.As(err, &record) {
		return true
	}
	var op *net.OpError
	if errors.As(err, &op) && (op.Op == "remote error" || op.Op == "local error") {
		return true // an alert
	}
	return err != nil && strings.HasPrefix(err.Error(), "tls: ")
}

// sayGoodbye tells the collector that no more comes, and waits until it has read all and closes its side too, or for
// patience; the connection is then still to be closed. With TLS the first of this is close_notify (RFC 8446 section 6.1).
func sayGoodbye(c connection, gone <-chan struct{}, patience time.Duration) error {
	_ = c.SetWriteDeadline(time.Now().Add(patience))
	err := c.CloseWrite()
	if err == nil {
		t := time.NewTimer(patience)
		defer t.Stop()
		select {
		case <-gone:
		case <-t.C:
		}
	}
	if errors.Is(err, net.ErrClosed) || errors.Is(err, syscall.ENOTCONN) {
		return nil // it was first
	}
	return err
}
