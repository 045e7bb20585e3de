package export

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	crand "crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/netflow/ipfix"
	"github.com/caprock-net/caprock/netflow/template"
)

// server is a collector of IPFIX over TCP or TLS: it cuts the stream into messages by their length fields, and wants each
// connection to begin its sequence at 0, to tell its templates before the flows and once, and to leave no message behind cut.
type server struct {
	t        *testing.T
	listener net.Listener
	pause    time.Duration // before each message
	stall    chan struct{} // if not nil, nothing is read until it is closed

	mu    sync.Mutex
	conns []net.Conn
	got   serverCounts
	wg    sync.WaitGroup
}

const receiveBuffer = 64 << 10

type serverCounts struct {
	conns, messages, templates, cut int
	flows, options                  int
	packets, bytes                  uint64
	seen                            map[uint64]int // flows by their number, which stands in packets
	closed                          int            // connections that were ended in order
}

func startServer(t *testing.T, addr string, config *tls.Config) *server {
	t.Helper()
	var l net.Listener
	var err error
	for range 100 { // after a restart the port may still be taken
		if l, err = net.Listen("tcp", addr); err == nil {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if err != nil {
		t.Fatal(err)
	}
	if config != nil {
		l = tls.NewListener(l, config)
	}
	s := &server{t: t, listener: l, got: serverCounts{seen: map[uint64]int{}}}
	t.Cleanup(s.kill)
	return s
}

func (s *server) addr() string { return s.listener.Addr().String() }

func (s *server) run() *server {
	s.wg.Go(func() {
		for {
			conn, err := s.listener.Accept()
			if err != nil {
				return
			}
			if tcp, ok := conn.(*net.TCPConn); ok {
				tcp.SetReadBuffer(receiveBuffer)
			}
			s.mu.Lock()
			s.conns = append(s.conns, conn)
			s.got.conns++
			s.mu.Unlock()
			s.wg.Go(func() { s.read(conn) })
		}
	})
	return s
}

// kill ends the listener and all connections at once, as the end of the process does.
func (s *server) kill() {
	s.listener.Close()
	s.mu.Lock()
	for _, c := range s.conns {
		c.Close()
	}
	s.mu.Unlock()
	s.wg.Wait()
}

func (s *server) read(conn net.Conn) {
	defer conn.Close()
	if s.stall != nil {
		<-s.stall
	}
	domain := template.NewStore(template.Limits{}).Domain(netflow.Addr{}, netflow.VersionIPFIX)
	batch := netflow.NewBatch(4096)
	var sequence uint32
	flows := 0
	for n := 0; ; n++ {
		time.Sleep(s.pause)
		msg := make([]byte, ipfix.HeaderLen, 1<<16)
		if _, err := io.ReadFull(conn, msg); err != nil {
			s.mu.Lock()
			if err == io.EOF {
				s.got.closed++
			} else if err == io.ErrUnexpectedEOF {
				s.got.cut++
			}
			s.mu.Unlock()
			return
		}
		h, err := ipfix.ParseHeader(msg)
		if err != nil || h.Length < ipfix.HeaderLen {
			s.t.Errorf("message %d begins with %x: %v", n, msg, err)
			return
		}
		msg = msg[:h.Length]
		if _, err := io.ReadFull(conn, msg[ipfix.HeaderLen:]); err != nil {
			s.mu.Lock()
			s.got.cut++
			s.mu.Unlock()
			return
		}
		var rep template.Report
		batch.Reset()
		if err := ipfix.Decode(batch, domain, msg, &rep); err != nil || !rep.Complete() {
			s.t.Errorf("message %d: %v, %+v", n, err, rep)
		}
		if h.Sequence != sequence {
			s.t.Errorf("message %d has sequence %d, want %d", n, h.Sequence, sequence)
		}
		sequence += uint32(rep.Flows + rep.Options)
		flows += rep.Flows
		if n == 0 && rep.New == 0 || flows > 0 && rep.New > 0 || rep.Refreshed+rep.Changed > 0 {
			s.t.Errorf("message %d has %d templates and %d flows, want all templates before the flows, once", n, rep.New, rep.Flows)
		}
		s.mu.Lock()
		s.got.messages++
		s.got.templates += rep.New
		s.got.flows += rep.Flows
		s.got.options += rep.Options
		for i := range batch.Len() {
			r := batch.Record(i)
			s.got.packets += r.Packets
			s.got.bytes += r.Bytes
			s.got.seen[r.Packets]++
		}
		s.mu.Unlock()
	}
}

func (s *server) counts() serverCounts {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.got
}

// wait waits until the server has what is asked for.
func (s *server) wait(what string, ok func(c serverCounts) bool) {
	s.t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if s.mu.Lock(); ok(s.got) {
			s.mu.Unlock()
			return
		}
		s.mu.Unlock()
	}
	c := s.counts()
	c.seen = nil
	s.t.Fatalf("waited in vain for %s: %+v", what, c)
}

// authority signs certificates for a test.
type authority struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string
}

func newAuthority(t *testing.T) *authority {
	a := &authority{t: t, dir: t.TempDir()}
	a.key = a.newKey()
	der := a.sign(&x509.Certificate{Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, nil, a.key)
	var err error
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.file = a.write("ca.pem", "CERTIFICATE", der)
	return a
}

func (a *authority) newKey() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), crand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	return key
}

func (a *authority) sign(c, parent *x509.Certificate, key *ecdsa.PrivateKey) []byte {
	a.t.Helper()
	c.SerialNumber = big.NewInt(time.Now().UnixNano())
	c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	if parent == nil {
		parent = c
	}
	der, err := x509.CreateCertificate(crand.Reader, c, parent, &key.PublicKey, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	return der
}

func (a *authority) write(name, kind string, der []byte) string {
	a.t.Helper()
	name = filepath.Join(a.dir, name)
	if err := os.WriteFile(name, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		a.t.Fatal(err)
	}
	return name
}

// issue writes a certificate for a host and its key.
func (a *authority) issue(name string, hosts ...string) (certFile, keyFile string) {
	a.t.Helper()
	c := &x509.Certificate{Subject: pkix.Name{CommonName: name}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			c.IPAddresses = append(c.IPAddresses, ip)
		} else {
			c.DNSNames = append(c.DNSNames, h)
		}
	}
	key := a.newKey()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	return a.write(name+".pem", "CERTIFICATE", a.sign(c, a.cert, key)), a.write(name+".key", "PRIVATE KEY", der)
}

// server is the configuration of a collector that wants clients' certificates of this authority.
func (a *authority) server(hosts ...string) *tls.Config {
	a.t.Helper()
	certFile, keyFile := a.issue("collector", hosts...)
	cert, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		a.t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return &tls.Config{Certificates: []tls.Certificate{cert}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert}
}

// client is the files of a probe.
func (a *authority) client() TLS {
	cert, key := a.issue("probe", "probe.example")
	return TLS{Cert: cert, Key: key, CA: a.file}
}
