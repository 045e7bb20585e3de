package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/storage/storagetest"
)

// feed sends n made-up flows as NetFlow v9 to every address, each collector the same datagrams, at rate flows a second.
// The templates have every field that a border router fills.
func feed(ctx context.Context, n, rate int, addresses ...string) (flows, packets, octets uint64, err error) {
	var conns []net.Conn
	for _, a := range addresses {
		c, err := net.Dial("udp", a)
		if err != nil {
			return 0, 0, 0, err
		}
		defer c.Close()
		conns = append(conns, c)
	}
	began := time.Now()
	m := message{boot: began.Add(-time.Hour), seq: 0}
	send := func(b []byte) {
		for _, c := range conns {
			c.Write(b)
		}
	}
	g, b := storagetest.NewGenerator(1), netflow.NewBatch(8192)
	for flows < uint64(n) && ctx.Err() == nil {
		b.Reset()
		g.Fill(b, min(n-int(flows), b.Cap()))
		// The generator's clock starts at a fixed time: move its flows to now.
		shift := netflow.TimestampOf(time.Now()) - b.Received[b.Len()-1]
		send(m.templates())
		for from := 0; from < b.Len(); {
			to := from
			for room := payload; to < b.Len(); to++ {
				if room -= recordLen[family(b, to)]; room < 0 {
					break
				}
			}
			send(m.data(b, from, to, shift))
			from = to
		}
		for i := range b.Len() {
			packets += b.Packets[i]
			octets += b.Bytes[i]
		}
		flows += uint64(b.Len())
		if ahead := time.Duration(float64(flows)/float64(rate)*float64(time.Second)) - time.Since(began); ahead > 0 {
			time.Sleep(ahead)
		}
	}
	return flows, packets, octets, ctx.Err()
}

// message builds v9 datagrams (RFC 3954).
type message struct {
	boot time.Time
	seq  uint32
	buf  []byte
}

// fields of the IPv4 template; the IPv6 one has other addresses and masks.
var (
	ends4 = [][2]uint16{{8, 4}, {12, 4}, {15, 4}}
	ends6 = [][2]uint16{{27, 16}, {28, 16}, {62, 16}}
	rest  = [][2]uint16{{10, 4}, {14, 4}, {2, 8}, {1, 8}, {22, 4}, {21, 4}, {7, 2}, {11, 2}, {6, 1}, {4, 1}, {5, 1},
		{16, 4}, {17, 4}, {9, 1}, {13, 1}, {58, 2}, {61, 1}}
)

func (m *message) begin(records int) {
	m.seq++
	now := time.Now()
	m.buf = append(m.buf[:0], 0, 9)
	m.buf = binary.BigEndian.AppendUint16(m.buf, uint16(records))
	m.buf = binary.BigEndian.AppendUint32(m.buf, uint32(now.Truncate(time.Second).Sub(m.boot).Milliseconds()))
	m.buf = binary.BigEndian.AppendUint32(m.buf, uint32(now.Unix()))
	m.buf = binary.BigEndian.AppendUint32(m.buf, m.seq)
	m.buf = binary.BigEndian.AppendUint32(m.buf, 1)
}

func (m *message) templates() []byte {
	m.begin(2)
	at := len(m.buf)
	m.buf = append(m.buf, 0, 0, 0, 0)
	for i, ends := range [][][2]uint16{ends4, ends6} {
		m.buf = binary.BigEndian.AppendUint16(m.buf, uint16(256+i))
		m.buf = binary.BigEndian.AppendUint16(m.buf, uint16(len(ends)+len(rest)))
		for _, f := range append(append([][2]uint16(nil), ends...), rest...) {
			m.buf = binary.BigEndian.AppendUint16(m.buf, f[0])
			m.buf = binary.BigEndian.AppendUint16(m.buf, f[1])
		}
	}
	binary.BigEndian.PutUint16(m.buf[at+2:], uint16(len(m.buf)-at))
	return m.buf
}

// payload is how many bytes of records go into a datagram: as many as fit an Ethernet frame, as routers do it.
const payload = 1400

// recordLen is the length of a record by family.
var recordLen = [2]int{64, 100}

func family(b *netflow.Batch, i int) int {
	if b.SrcAddr[i].Is4() {
		return 0
	}
	return 1
}

// data makes a datagram of rows of b, with a data set for each family that is among them.
func (m *message) data(b *netflow.Batch, from, to int, shift netflow.Timestamp) []byte {
	m.begin(to - from)
	for which := range recordLen {
		at := len(m.buf)
		m.buf = append(m.buf, 1, byte(which), 0, 0)
		for i := from; i < to; i++ {
			if family(b, i) == which {
				m.record(b, i, shift)
			}
		}
		if len(m.buf) == at+4 {
			m.buf = m.buf[:at]
			continue
		}
		for len(m.buf)%4 != 0 {
			m.buf = append(m.buf, 0)
		}
		binary.BigEndian.PutUint16(m.buf[at+2:], uint16(len(m.buf)-at))
	}
	return m.buf
}

func (m *message) record(b *netflow.Batch, i int, shift netflow.Timestamp) {
	uptime := func(t netflow.Timestamp) uint32 {
		// Never later than the header's clock, which is cut to the second.
		up := uint32((t + shift).Time().Sub(m.boot).Milliseconds())
		return min(up, binary.BigEndian.Uint32(m.buf[4:]))
	}
	for _, a := range []netflow.Addr{b.SrcAddr[i], b.DstAddr[i], b.NextHop[i]} {
		if family(b, i) == 0 {
			m.buf = append(m.buf, a[12:]...)
		} else {
			m.buf = append(m.buf, a[:]...)
		}
	}
	m.buf = binary.BigEndian.AppendUint32(m.buf, b.Input[i])
	m.buf = binary.BigEndian.AppendUint32(m.buf, b.Output[i])
	m.buf = binary.BigEndian.AppendUint64(m.buf, b.Packets[i])
	m.buf = binary.BigEndian.AppendUint64(m.buf, b.Bytes[i])
	m.buf = binary.BigEndian.AppendUint32(m.buf, uptime(b.Start[i]))
	m.buf = binary.BigEndian.AppendUint32(m.buf, uptime(b.End[i]))
	m.buf = binary.BigEndian.AppendUint16(m.buf, b.SrcPort[i])
	m.buf = binary.BigEndian.AppendUint16(m.buf, b.DstPort[i])
	m.buf = append(m.buf, byte(b.TCPFlags[i]), b.Proto[i], b.TOS[i])
	m.buf = binary.BigEndian.AppendUint32(m.buf, b.SrcAS[i])
	m.buf = binary.BigEndian.AppendUint32(m.buf, b.DstAS[i])
	m.buf = append(m.buf, b.SrcMask[i], b.DstMask[i])
	m.buf = binary.BigEndian.AppendUint16(m.buf, b.VLAN[i])
	m.buf = append(m.buf, b.Direction[i])
}

// load of the query figures, in flows a second: what every collector takes without loss.
const feedRate = 150_000

// feedAll starts the sinks, feeds them, stops them and says what each took.
func (s *settings) feedAll(ctx context.Context, sinks []sink) (map[string]string, error) {
	dirs := map[string]string{}
	var started []*running
	var addresses []string
	for _, k := range sinks {
		dir, err := s.scratch("store-" + strings.Fields(k.name)[0])
		if err != nil {
			return nil, err
		}
		r, err := k.start(dir)
		if err != nil {
			return nil, err
		}
		dirs[k.name] = dir
		started = append(started, r)
		addresses = append(addresses, "127.0.0.1:"+r.port)
	}
	flows, packets, octets, feedErr := feed(ctx, s.flows, feedRate, addresses...)
	time.Sleep(2 * time.Second)
	fmt.Printf("# sent to each collector: %d flows, %d packets, %d bytes, at %d flows/s\n", flows, packets, octets, feedRate)
	fmt.Printf("%-20s %12s %12s %10s %10s\n", "storing them", "CPU s/Mflow", "B/flow", "RSS MiB", "lost")
	for i, k := range sinks {
		u, err := started[i].stop()
		if err != nil {
			return nil, err
		}
		stored, err := k.stored(dirs[k.name], u.output)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", k.name, err)
		}
		fmt.Printf("%-20s %12.2f %12.1f %10.0f %10d\n", k.name, u.cpu/float64(flows)*1e6, float64(size(dirs[k.name]))/float64(stored), u.memory, int64(flows)-int64(stored))
	}
	return dirs, feedErr
}
