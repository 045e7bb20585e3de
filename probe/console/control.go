package console

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// request is what a client sends at the unix socket, as a line of JSON. The answer is a byte, 0 and then the output, or 1
// and then what is wrong; then the end.
type request struct {
	Command   []string `json:"command"`
	JSON      bool     `json:"json,omitempty"`
	Directory string   `json:"directory,omitempty"` // of the client
}

const maxRequest = 64 << 10 // bytes

// patience is how long a client may take to send its command, and to take each piece of the answer.
const patience = 30 * time.Second

// DefaultControl is where the control socket lies when nothing else is asked for: below the system's state directory for
// root, else below the user's.
func DefaultControl() string {
	const name = "caprock/probe.sock"
	if os.Geteuid() == 0 {
		if runtime.GOOS == "linux" {
			return "/run/" + name
		}
		return "/var/run/" + name
	}
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		return filepath.Join(dir, name)
	}
	return filepath.Join(os.TempDir(), fmt.Sprintf("caprock-%d", os.Geteuid()), "probe.sock")
}

// listenControl makes the socket. One that nobody listens at any more is replaced; its folder is made if need be.
func listenControl(path string) (net.Listener, error) {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	if path == DefaultControl() {
		if info, err := os.Lstat(dir); err != nil || !info.IsDir() || !mine(info) {
			return nil, fmt.Errorf("control socket: the folder %s is somebody else's", dir)
		}
	}
	if info, err := os.Lstat(path); err == nil {
		if info.Mode().Type() != os.ModeSocket {
			return nil, fmt.Errorf("control socket: %s is there, and is no socket", path)
		}
		conn, err := net.DialTimeout("unix", path, time.Second)
		if err == nil {
			return nil, errors.Join(fmt.Errorf("control socket: another probe listens at %s (--control chooses another path)", path), conn.Close())
		}
		if !errors.Is(err, syscall.ECONNREFUSED) {
			return nil, fmt.Errorf("control socket: %w", err)
		}
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("control socket: %w", err)
		}
	}
	// The mode that the socket has before it is bound is that of the file, less the umask, on Linux; elsewhere connecting
	// needs the mode set below, or write permission, which no usual umask gives to others.
	early := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { _ = unix.Fchmod(int(fd), 0o600) })
	}}
	l, err := early.Listen(context.Background(), "unix", path)
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("control socket: %w", err), l.Close())
	}
	return l, nil
}

// mine reports whether a folder belongs to this process's user, and nobody else may write there.
func mine(info os.FileInfo) bool {
	s, ok := info.Sys().(*syscall.Stat_t)
	return !ok || int(s.Uid) == os.Geteuid() && info.Mode().Perm()&0o022 == 0 || os.Geteuid() == 0
}

func (c *Console) serveControl(conn net.Conn) {
	defer conn.Close()
	a := &answer{conn: conn}
	if !c.enter() {
		a.fail(errors.New("too many clients"))
		return
	}
	defer c.leave()
	_ = conn.SetReadDeadline(time.Now().Add(patience)) // a failure shows when reading
	line, err := bufio.NewReader(io.LimitReader(conn, maxRequest)).ReadBytes('\n')
	var r request
	if err == nil {
		err = json.Unmarshal(line, &r)
	}
	if err == nil {
		err = c.Execute(a, r.Command, Session{Level: Admin, JSON: r.JSON, Directory: r.Directory})
	}
	if err != nil {
		a.fail(err)
	}
}

// answer writes to a client; the first byte says how it went.
type answer struct {
	conn  net.Conn
	begun bool
}

func (a *answer) Write(p []byte) (int, error) {
	if !a.begun {
		a.begun = true
		if _, err := a.Write([]byte{0}); err != nil {
			return 0, err
		}
	}
	if err := a.conn.SetWriteDeadline(time.Now().Add(patience)); err != nil {
		return 0, err
	}
	return a.conn.Write(p)
}

// fail tells an error, unless output has been sent: then the client sees it cut.
func (a *answer) fail(err error) {
	if !a.begun {
		a.begun = true
		_, _ = fmt.Fprintf(a, "\x01%s\n", err) // the client is gone then
	}
}

// ErrNoProbe is wrapped when nobody listens at the control socket.
var ErrNoProbe = errors.New("no probe with a console runs here")

// Call gives a command to the probe that listens at a control socket, and copies the answer to w.
func Call(ctx context.Context, w io.Writer, path string, command []string, asJSON bool) error {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", path)
	if errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%w: %s", ErrNoProbe, path)
	}
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	dir, err := os.Getwd()
	if err != nil {
		dir = "/"
	}
	line, err := json.Marshal(request{command, asJSON, dir})
	if err != nil {
		return err
	}
	if _, err := conn.Write(append(line, '\n')); err != nil {
		return err
	}
	r := bufio.NewReaderSize(conn, 64<<10)
	status, err := r.ReadByte()
	if err != nil {
		return fmt.Errorf("the probe gave no answer: %w", err)
	}
	if status != 0 {
		text, _ := io.ReadAll(io.LimitReader(r, maxRequest)) // what came of it is told
		return errors.New(string(text))
	}
	_, err = io.Copy(w, r)
	return err
}
