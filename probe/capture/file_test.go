package capture

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/caprock-net/caprock/netflow/pcapfile"
	"github.com/caprock-net/caprock/probe/dissect"
)

// writeCapture makes a capture of n frames, a millisecond apart.
func writeCapture(t *testing.T, n int) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := pcapfile.NewWriter(&b, uint16(dissect.LinkRaw))
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		f := pcapfile.Frame{Time: 1e18 + int64(i)*1e6 + 999, WireLen: 1000 + i, LinkType: uint16(dissect.LinkRaw), Data: []byte{0x45, byte(i)}}
		if err := w.Write(f); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

func TestFile(t *testing.T) {
	whole := writeCapture(t, 3)
	name := filepath.Join(t.TempDir(), "three.pcap")
	if err := os.WriteFile(name, whole[:len(whole)-1], 0o600); err != nil {
		t.Fatal(err)
	}
	src, err := OpenFile(name)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	var f Frame
	for i := range 2 {
		if err := src.Next(&f); err != nil {
			t.Fatal(err)
		}
		if f.Time.Time().UnixNano() != 1e18+int64(i)*1e6 || f.WireLen != 1000+i || len(f.Data) != 2 || f.Interface != 1 || f.Link != dissect.LinkRaw {
			t.Errorf("frame %d: %+v", i, f)
		}
	}
	if err := src.Next(&f); !errors.Is(err, io.ErrUnexpectedEOF) || !strings.Contains(err.Error(), name) {
		t.Errorf("error %v, want one that names the file, wrapping %v", err, io.ErrUnexpectedEOF)
	}
	src.Stop()
	if err := src.Next(&f); err != io.EOF {
		t.Errorf("after Stop: error %v, want %v", err, io.EOF)
	}
}

// standardInput puts a pipe in its place.
func standardInput(t *testing.T) (out *os.File) {
	t.Helper()
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	old := os.Stdin
	os.Stdin = in
	t.Cleanup(func() {
		os.Stdin = old
		in.Close()
		out.Close()
	})
	return out
}

// TestStandardInput swaps it for a pipe: frames come as they are written, and Stop ends a Next that waits.
func TestStandardInput(t *testing.T) {
	out := standardInput(t)
	if _, err := out.Write(writeCapture(t, 1)); err != nil {
		t.Fatal(err)
	}
	src, err := OpenFile("-")
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	var f Frame
	if err := src.Next(&f); err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(20*time.Millisecond, src.Stop)
	if err := src.Next(&f); err != io.EOF {
		t.Errorf("error %v, want %v", err, io.EOF)
	}
}

func TestStandardInputIsText(t *testing.T) {
	out := standardInput(t)
	out.WriteString("this is no capture\n")
	out.Close()
	_, err := OpenFile("-")
	if !errors.Is(err, pcapfile.ErrFormat) || !strings.HasPrefix(err.Error(), "standard input: ") {
		t.Errorf("error %v, want %v, naming standard input", err, pcapfile.ErrFormat)
	}
}

func TestPump(t *testing.T) {
	if err := iotest.TestReader(newPump(bytes.NewReader(make([]byte, 3*pumpSize+5))), make([]byte, 3*pumpSize+5)); err != nil {
		t.Error(err)
	}
	disk := errors.New("disk on fire")
	p := newPump(io.MultiReader(strings.NewReader("abc"), iotest.ErrReader(disk)))
	if b, err := io.ReadAll(p); string(b) != "abc" || !errors.Is(err, disk) {
		t.Errorf("read %q, error %v", b, err)
	}
}

func TestCounters(t *testing.T) {
	now := Counters{RxPackets: 10, TxPackets: 3}
	if got, want := now.sub(Counters{RxPackets: 4, TxPackets: 5}), (Counters{RxPackets: 6, TxPackets: 3}); got != want {
		t.Errorf("got %+v, want %+v (a counter that fell was reset)", got, want)
	}
}

func TestLiveConfig(t *testing.T) {
	err := LiveConfig{RingSize: 1, SnapLen: 1}.Validate()
	for _, want := range []string{"interface", "ring size", "snap length"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not speak of the %s", err, want)
		}
	}
	if err := (LiveConfig{Interface: "eth0"}).Validate(); err != nil {
		t.Error(err)
	}
}
