package console

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/net/ipv4"
)

// RSH says where commands are taken by the rcmd protocol, and from whom.
type RSH struct {
	Listen  []netip.AddrPort // none: nowhere
	Access  []Rule           // the first that fits a client decides; none at all: everybody may look
	TTL     int              // IP time to live of what is sent, so that it does not get far; 0: the system's
	Timeout time.Duration    // of a silent client; 0: DefaultTimeout
}

// DefaultRSHPort is the port of the service "shell".
const DefaultRSHPort = 514

// DefaultTimeout is how long a client of rsh may be silent.
const DefaultTimeout = 30 * time.Second

// Validate reports all that is wrong.
func (r *RSH) Validate() error {
	var errs []error
	for _, l := range r.Listen {
		if !l.Addr().IsLoopback() && len(r.Access) == 0 {
			errs = append(errs, fmt.Errorf("rsh at %s: other machines reach that: it needs access rules", l))
		}
	}
	if r.TTL < 0 || r.TTL > 255 {
		errs = append(errs, fmt.Errorf("rsh ttl %d: must be 0 to 255", r.TTL))
	}
	if r.Timeout < 0 {
		errs = append(errs, fmt.Errorf("rsh timeout %v: is negative", r.Timeout))
	}
	return errors.Join(errs...)
}

func listenRSH(r RSH) ([]net.Listener, error) {
	var listeners []net.Listener
	for _, at := range r.Listen {
		l, err := net.Listen("tcp", at.String())
		if err != nil {
			for _, l := range listeners {
				err = errors.Join(err, l.Close())
			}
			return nil, fmt.Errorf("rsh: %w", err)
		}
		listeners = append(listeners, l)
	}
	return listeners, nil
}

// Bounds of what a client sends, in bytes.
const (
	maxUser    = 64
	maxCommand = 4096
)

// errHandshake is wrapped by errors about what a client of rsh sent.
var errHandshake = errors.New("rcmd handshake")

// readPort reads the first part of an rcmd handshake: the port to which the client wants a second connection; 0: none.
func readPort(r *bufio.Reader) (uint16, error) {
	text, err := readString(r, 5)
	if err != nil || text == "" {
		return 0, err
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return 0, fmt.Errorf("%w: port %q", errHandshake, text)
	}
	return uint16(n), nil
}

// handshake is the second part.
type handshake struct{ local, remote, command string }

func readHandshake(r *bufio.Reader) (h handshake, err error) {
	if h.local, err = readString(r, maxUser); err != nil {
		return h, err
	}
	if h.remote, err = readString(r, maxUser); err != nil {
		return h, err
	}
	h.command, err = readString(r, maxCommand)
	return h, err
}

// readString reads a string that ends with a NUL.
func readString(r *bufio.Reader, most int) (string, error) {
	var b []byte
	for {
		c, err := r.ReadByte()
		switch {
		case err != nil:
			return "", fmt.Errorf("%w: %w", errHandshake, err)
		case c == 0:
			return string(b), nil
		case len(b) == most:
			return "", fmt.Errorf("%w: more than %d bytes", errHandshake, most)
		}
		b = append(b, c)
	}
}

// reserved reports whether only a privileged process of the client's machine can have the port.
func reserved(port uint16) bool { return port >= 512 && port < 1024 }

func (c *Console) serveRSH(conn net.Conn) {
	defer conn.Close()
	if err := c.rcmd(conn); err != nil {
		c.log.Debug("rsh", "client", conn.RemoteAddr().String(), "err", err)
	}
}

// rcmd serves one client. What it must know goes to its standard output: Debian's client shows nothing else.
func (c *Console) rcmd(conn net.Conn) error {
	client, err := netip.ParseAddrPort(conn.RemoteAddr().String())
	if err != nil {
		return err
	}
	client = netip.AddrPortFrom(client.Addr().Unmap(), client.Port())
	if !reserved(client.Port()) && !c.trust {
		return fmt.Errorf("%w: from the unprivileged port %d", errHandshake, client.Port())
	}
	if ttl := c.cfg.RSH.TTL; ttl > 0 && client.Addr().Is4() {
		if err := ipv4.NewConn(conn).SetTTL(ttl); err != nil {
			return err
		}
	}
	timeout := c.cfg.RSH.Timeout
	if timeout == 0 {
		timeout = DefaultTimeout
	}
	if err := conn.SetDeadline(time.Now().Add(timeout)); err != nil {
		return err
	}
	free := c.enter()
	if free {
		defer c.leave()
	}
	r := bufio.NewReaderSize(conn, 512)
	port, err := readPort(r)
	if err != nil {
		return err
	}
	if port != 0 {
		// The client waits for it, whatever is to be said.
		if !reserved(port) && !c.trust {
			return fmt.Errorf("%w: asks for the unprivileged port %d", errHandshake, port)
		}
		back, err := dialBack(netip.AddrPortFrom(client.Addr(), port), conn.LocalAddr(), timeout)
		if err != nil {
			return fmt.Errorf("connection for errors: %w", err)
		}
		defer back.Close()
	}
	h, err := readHandshake(r)
	if err != nil {
		return err
	}
	out := &timed{conn, timeout}
	if _, err := out.Write([]byte{0}); err != nil {
		return err
	}
	if !free {
		_, err := io.WriteString(out, "Too many clients.\n")
		return err
	}
	level := levelOf(c.cfg.RSH.Access, client.Addr(), h.remote)
	c.log.Debug("rsh", "client", client.String(), "user", h.remote, "level", level.String(), "command", h.command)
	err = c.Execute(out, strings.Fields(h.command), Session{Level: level, Directory: "/", Confined: true})
	if err != nil {
		_, e := fmt.Fprintf(out, "%s\n", refusal(err))
		err = errors.Join(err, e)
	}
	return err
}

// refusal is what a client is told.
func refusal(err error) string {
	if errors.Is(err, ErrDenied) {
		return "Permission denied" + strings.TrimPrefix(err.Error(), ErrDenied.Error()) + "."
	}
	return err.Error()
}

// timed sets a deadline for each write.
type timed struct {
	net.Conn
	timeout time.Duration
}

func (t *timed) Write(p []byte) (int, error) {
	if err := t.SetWriteDeadline(time.Now().Add(t.timeout)); err != nil {
		return 0, err
	}
	return t.Conn.Write(p)
}

// dialBack connects to the client from a privileged port, or from any if that cannot be had.
func dialBack(to netip.AddrPort, local net.Addr, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	from := net.TCPAddr{}
	if l, ok := local.(*net.TCPAddr); ok {
		from.IP = l.IP
	}
	for port := 1023; port >= 512; port-- {
		from.Port = port
		d := net.Dialer{LocalAddr: &from}
		conn, err := d.DialContext(ctx, "tcp", to.String())
		switch {
		case err == nil:
			return conn, nil
		case errors.Is(err, syscall.EADDRINUSE) || errors.Is(err, syscall.EADDRNOTAVAIL):
			continue
		case !errors.Is(err, syscall.EACCES) && !errors.Is(err, syscall.EPERM):
			return nil, err
		}
		break
	}
	var d net.Dialer
	return d.DialContext(ctx, "tcp", to.String())
}
