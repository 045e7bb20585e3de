package trace

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/caprock-net/caprock/netflow/pcapfile"
)

// Replica is what Replicate wrote.
type Replica struct {
	Packets uint64
	Files   int // that had Ethernet frames
	Copies  int // of each
}

// Sources lists the captures in a folder, without those below it.
func Sources(folder string) ([]string, error) {
	entries, err := os.ReadDir(folder)
	var names []string
	for _, e := range entries {
		name := strings.TrimSuffix(e.Name(), ".gz")
		if strings.HasSuffix(name, ".pcap") || strings.HasSuffix(name, ".pcapng") {
			names = append(names, filepath.Join(folder, e.Name()))
		}
	}
	return names, err
}

// Replicate writes a capture of about c.Packets packets: copies of all frames of the captures that are Ethernet, with the
// second byte of IPv4 addresses (the fourth of IPv6) another one in each copy. Copies begin at random times; times inside
// of a capture are as they were, or shrunk when it is longer than c.Span. Addresses inside of tunnels stay as they are.
func Replicate(w io.Writer, c Config, sources []string) (Replica, error) {
	type packet struct {
		after int64 // ns since the first one of its file
		wire  int
		data  []byte
	}
	type file struct{ packets []packet }
	var r Replica
	var files []file
	packets := 0
	for _, name := range sources {
		frames, err := ethernetFrames(name)
		if err != nil {
			return r, err
		}
		if len(frames) == 0 {
			continue
		}
		first := slices.MinFunc(frames, func(a, b pcapfile.Frame) int { return cmp.Compare(a.Time, b.Time) }).Time
		last := slices.MaxFunc(frames, func(a, b pcapfile.Frame) int { return cmp.Compare(a.Time, b.Time) }).Time
		shrink := min(1, float64(c.Span)/float64(max(last-first, 1)))
		var f file
		for _, p := range frames {
			f.packets = append(f.packets, packet{int64(float64(p.Time-first) * shrink), p.WireLen, p.Data[:min(len(p.Data), max(c.Snaplen, 0))]})
		}
		files = append(files, f)
		packets += len(f.packets)
	}
	if packets == 0 {
		return r, errors.New("no captures of Ethernet")
	}
	r.Files, r.Copies = len(files), min(max((c.Packets+packets/2)/packets, 1), 256)

	type event struct {
		at          int64
		file, index int32
		copy        uint8
	}
	rnd := rand.New(rand.NewPCG(c.Seed, 0x6361_7072))
	events := make([]event, 0, r.Copies*packets)
	for n, f := range files {
		var length int64
		for _, p := range f.packets {
			length = max(length, p.after)
		}
		for k := range r.Copies {
			begin := c.Start.UnixNano() + rnd.Int64N(int64(c.Span)-length+1)
			for i, p := range f.packets {
				events = append(events, event{begin + p.after, int32(n), int32(i), uint8(k)})
			}
		}
	}
	slices.SortStableFunc(events, func(a, b event) int { return cmp.Compare(a.at, b.at) })

	out, err := pcapfile.NewWriter(w, ethernet)
	if err != nil {
		return r, err
	}
	var frame []byte
	for _, e := range events {
		p := &files[e.file].packets[e.index]
		frame = append(frame[:0], p.data...)
		readdress(frame, e.copy)
		if err := out.Write(pcapfile.Frame{Time: e.at, WireLen: p.wire, Interface: 1, LinkType: ethernet, Data: frame}); err != nil {
			return r, err
		}
		r.Packets++
	}
	return r, nil
}

// ethernetFrames reads a capture into memory. Damage ends it early.
func ethernetFrames(name string) ([]pcapfile.Frame, error) {
	r, err := pcapfile.Open(name)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	var frames []pcapfile.Frame
	for {
		f, err := r.Next()
		var damage *pcapfile.Error
		switch {
		case errors.Is(err, io.EOF) || errors.As(err, &damage):
			return frames, nil
		case err != nil:
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if f.LinkType == ethernet && f.Time >= 0 {
			f.Data = slices.Clone(f.Data)
			frames = append(frames, f)
		}
	}
}

// readdress moves the addresses of an IP packet into another network for each k, and leaves it as it is for 0.
func readdress(frame []byte, k uint8) {
	const ipv4, ipv6 = 0x0800, 0x86dd
	at := 12
	for at+4 <= len(frame) && isTag(binary.BigEndian.Uint16(frame[at:])) {
		at += 4
	}
	if at+2 > len(frame) {
		return
	}
	ip := frame[at+2:]
	switch kind := binary.BigEndian.Uint16(frame[at:]); {
	case kind == ipv4 && len(ip) >= 20:
		// Both bytes are the low ones of their 16-bit word, and the checksum is a sum of words (RFC 1624).
		sum := uint32(^binary.BigEndian.Uint16(ip[10:]))
		for _, b := range []int{13, 17} {
			sum += uint32(^ip[b]) | 0xff00
			ip[b] ^= k
			sum += uint32(ip[b])
		}
		for sum > 0xffff {
			sum = sum>>16 + sum&0xffff
		}
		binary.BigEndian.PutUint16(ip[10:], ^uint16(sum))
	case kind == ipv6 && len(ip) >= 40:
		ip[11] ^= k
		ip[27] ^= k
	}
}

// isTag reports whether an EtherType is that of a VLAN tag (IEEE 802.1Q, 802.1ad, and what came before that).
func isTag(kind uint16) bool { return kind == 0x8100 || kind == 0x88a8 || kind == 0x9100 }
