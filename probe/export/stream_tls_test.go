package export

import (
	"bytes"
	"crypto/tls"
	"log/slog"
	"strings"
	"testing"
	"time"
)

func TestTLS(t *testing.T) {
	a := newAuthority(t)
	s := startServer(t, "127.0.0.1:0", a.server("collector.example", "127.0.0.1")).run()
	e := open(t, Config{Destinations: []string{"tls://" + s.addr()}, TLS: a.client()})
	give(t, e, 0, 3000)
	d := finish(t, e).Destinations[0]
	c := s.counts()
	if c.flows != 3000 || d.Exported.Flows != 3000 || d.Unconfirmed.Flows != 0 || c.closed != 1 { // a clean end of TLS is io.EOF only after close_notify
		t.Errorf("%d flows arrived, %d ends in order: %+v", c.flows, c.closed, d)
	}
	s.mu.Lock()
	state := s.conns[0].(*tls.Conn).ConnectionState()
	s.mu.Unlock()
	if state.Version != tls.VersionTLS13 || len(state.PeerCertificates) != 1 || state.PeerCertificates[0].Subject.CommonName != "probe" {
		t.Errorf("version %x, certificates %v", state.Version, state.PeerCertificates)
	}
}

// TestTLSRefusals: no flow goes to a collector that is not who it should be, nor is one lost to a collector that refuses us.
func TestTLSRefusals(t *testing.T) {
	a, other := newAuthority(t), newAuthority(t)
	strange := other.client()
	old := a.server("127.0.0.1")
	old.MaxVersion = tls.VersionTLS12
	tests := []struct {
		name   string
		server *tls.Config // nil: no TLS
		client TLS
		want   string
	}{
		{"for another name", a.server("elsewhere.example", "192.0.2.1"), a.client(), "not 127.0.0.1"},
		{"of an unknown authority", other.server("127.0.0.1"), a.client(), "unknown authority"},
		{"our certificate is refused", a.server("127.0.0.1"), TLS{strange.Cert, strange.Key, a.file}, "certificate"},
		{"only TLS 1.2", old, a.client(), "version"},
		{"no TLS at all", nil, a.client(), "tls"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var s *server
			if test.server != nil {
				s = startServer(t, "127.0.0.1:0", test.server).run()
			} else {
				s = startServer(t, "127.0.0.1:0", nil)
				go func() {
					for {
						c, err := s.listener.Accept()
						if err != nil {
							return
						}
						c.Write([]byte("220 mail.example ESMTP\r\n"))
						c.Close()
					}
				}()
			}
			var log bytes.Buffer
			e := open(t, Config{Destinations: []string{"tls://" + s.addr()}, TLS: test.client, Logger: slog.New(slog.NewTextHandler(&log, nil))},
				func(p *patience) { p.drain, p.settleTLS = 50*time.Millisecond, 10*time.Second })
			st := e.destinations[0].(*stream)
			give(t, e, 0, 100)
			e.Flush(second)
			for end := time.Now().Add(5 * time.Second); st.snapshot().Errors[FaultTLS] < 2; time.Sleep(5 * time.Millisecond) {
				if time.Now().After(end) {
					t.Fatalf("errors %v", st.snapshot().Errors)
				}
			}
			d := finish(t, e).Destinations[0]
			if c := s.counts(); c.flows != 0 || d.Exported.Flows != 0 || d.Lost[FaultUnsent].Flows != 100 {
				t.Errorf("%d flows arrived; %+v", c.flows, d)
			}
			if !strings.Contains(log.String(), "fault=TLS") || !strings.Contains(log.String(), test.want) {
				t.Errorf("the log lacks %q:\n%s", test.want, &log)
			}
		})
	}
}
