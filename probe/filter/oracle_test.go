package filter_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/bpf"

	"github.com/caprock-net/caprock/netflow/pcapfile"
	"github.com/caprock-net/caprock/probe/dissect"
	"github.com/caprock-net/caprock/probe/dissect/dissecttest"
	"github.com/caprock-net/caprock/probe/filter"
)

// links are the link types that can be compared, and what tcpdump -y calls them.
var links = map[dissect.LinkType]string{
	dissect.LinkEthernet: "EN10MB", dissect.LinkSLL: "LINUX_SLL", dissect.LinkSLL2: "LINUX_SLL2", dissect.LinkRaw: "RAW",
	dissect.LinkIPv4: "IPV4", dissect.LinkIPv6: "IPV6", dissect.LinkNull: "NULL", dissect.LinkLoop: "LOOP",
}

// tcpdump compiles an expression with tcpdump; the error is what it said. Its optimizer is off (-O): it decides some
// comparisons wrongly ("ip[-2:2] = 5" compares 5 with the last value loaded) and loads less of cut frames.
func tcpdump(t testing.TB, link dissect.LinkType, text string) (filter.Program, error) {
	t.Helper()
	if p, known := compiled.Load(links[link] + text); known {
		return p.(filter.Program), nil
	}
	cmd := exec.Command("tcpdump", "-O", "-ddd", "-y", links[link], "--", text)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		if _, ran := err.(*exec.ExitError); !ran {
			t.Skipf("tcpdump: %v", err)
		}
		return nil, fmt.Errorf("%s", strings.TrimSpace(stderr.String()))
	}
	f, err := filter.ParseText(string(out))
	if err != nil {
		t.Fatalf("%s: the numbers of tcpdump -ddd: %v", text, err)
	}
	p, err := f.Compile(filter.Target{Link: link, SnapLen: 262144})
	if err != nil {
		t.Fatal(err)
	}
	compiled.Store(links[link]+text, p)
	return p, nil
}

// compiled are programs of tcpdump, which takes a while to start.
var compiled sync.Map

func compile(link dissect.LinkType, text string) (filter.Program, error) {
	f, err := filter.Parse(text)
	if err != nil {
		return nil, err
	}
	return f.Compile(filter.Target{Link: link, SnapLen: 262144})
}

// run runs a program in our machine, and in that of golang.org/x/net/bpf, where it knows the instructions, to compare.
func run(t *testing.T, p filter.Program, vm *bpf.VM, frame []byte) uint32 {
	t.Helper()
	got := p.Run(frame, len(frame))
	if vm != nil {
		want, err := vm.Run(frame)
		if err == nil && got != uint32(want) {
			t.Fatalf("program %v returns %d, by golang.org/x/net/bpf %d, for frame %x", p, got, want, frame)
		}
	}
	return got
}

// machine returns the program for golang.org/x/net/bpf; nil when that lacks something: negation, wrapping offsets.
func machine(p filter.Program) *bpf.VM {
	code := make([]bpf.Instruction, len(p))
	for i, c := range p {
		code[i] = c.Disassemble()
		if l, is := code[i].(bpf.LoadIndirect); is && l.Off > 1<<20 {
			return nil
		}
		if c.Op == 0x84 || c.Op == 0x1c || c.Op == 0x14 { // negation, subtraction: offsets may wrap
			return nil
		}
	}
	vm, err := bpf.NewVM(code)
	if err != nil {
		return nil
	}
	return vm
}

// agree compares the verdicts of both compilers and returns how many frames were taken.
func agree(t *testing.T, link dissect.LinkType, text string, frames [][]byte) (taken int) {
	t.Helper()
	want, err := tcpdump(t, link, text)
	if err != nil {
		t.Errorf("%s: tcpdump refuses it: %v", text, err)
		return 0
	}
	got, err := compile(link, text)
	if err != nil {
		t.Errorf("%s: %v", text, err)
		return 0
	}
	gotVM, wantVM := machine(got), machine(want)
	for _, frame := range frames {
		g, w := run(t, got, gotVM, frame), run(t, want, wantVM, frame)
		if g != w {
			t.Errorf("link type %d: %s: returns %d, tcpdump's program %d, for frame %x", link, text, g, w, frame)
			return taken
		}
		if g != 0 {
			taken++
		}
	}
	return taken
}

// expressions are taken by tcpdump for Ethernet as they stand.
var expressions = strings.Split(strings.TrimSpace(`
ip
ip6
arp
rarp
tcp
udp
sctp
icmp
icmp6
igmp
igrp
pim
vrrp
carp
ah
esp
host 10.0.0.1
src host 10.0.0.1
dst host 10.0.0.1
src 10.0.0.1
dst 10.0.0.1
src or dst 10.0.0.1
dst or src host 10.0.0.1
src and dst 10.0.0.1
src and dst host 10.0.0.1
ip host 10.1.2.3
arp host 10.1.2.3
rarp host 10.1.2.3
arp src host 10.1.2.3
host 10.1
host 10
host 2001:db8::1
src host 2001:db8::1
dst 2001:db8::2
ip6 host 2001:db8::1
ip6 src host 2001:db8:1::2
host 10.0.0.1 and host 192.0.2.1
host 10.0.0.1 and 192.0.2.1
host 10.0.0.1 and (192.0.2.1 or 10.1.2.3)
host (10.0.0.1 or 10.1.2.3)
host 10.0.0.1 and not 192.0.2.1
not host 10.0.0.1
net 10
net 10.1
net 10.0.0.0/8
net 10.1.0.0/16
net 172.16.0.0/12
src net 10.0.0.0/8
dst net 10.0.0.0/8
src and dst net 10.0.0.0/8
ip net 10.0.0.0/8
arp net 10.0.0.0/8
net 0.0.0.0/0
net 10.0.0.0 mask 255.0.0.0
net 10.1 mask 255.255.0.0
net 2001:db8::/32
src net 2001:db8:1::/48
dst net 2001:db8::/47
ip6 net ::/0
net 2001:db8::1/128
net 2001:db8:8000::/33
port 80
src port 80
dst port 80
src or dst port 80
src and dst port 80
tcp port 80
udp port 53
sctp port 22
tcp src port 443
udp dst port 53
tcp dst port 80 or 443
port 80 or 443
port 80 or 443 or 8080
port (80 or 443)
port 80 and not 443
not port 22
not (port 22 or 53)
portrange 80-443
portrange 443-80
tcp portrange 1-1023
src portrange 50-90
udp dst portrange 2000-3000
portrange 80
port http
port domain
tcp port https
port 0x50
port 0120
proto 6
proto 47
ip proto 17
ip6 proto 17
ip proto \tcp
ip6 proto \udp
proto \icmp
ip proto 58
ether proto 0x800
ether proto \ip6
ether proto \arp
ether proto 0x88cc
ether proto 0x42
ether proto 0x06
ether proto 0xf0
ether host 02:00:00:00:00:01
ether src 2:0:0:0:0:1
ether dst 02-00-00-00-00-02
ether dst host 0200.0000.0002
ether src or dst 02:00:00:00:00:01
ether src and dst 02:00:00:00:00:01
ether host 02:00:00:00:00:01 or 02:00:00:00:00:02
vlan
vlan 5
vlan 5 and ip
vlan 5 and vlan 6
vlan and vlan and tcp port 80
vlan 5 or vlan 6
not vlan
vlan and host 10.0.0.1
vlan 6 and ether host 02:00:00:00:00:01
(vlan 5 and ip) or ip6
ip or vlan and ip
mpls
mpls 1000
mpls 1001 and ip
mpls and mpls 1000
mpls and mpls and host 10.0.0.1
mpls and net 10.0.0.0/8 and tcp
mpls 1000 and ip6
vlan 5 and mpls
pppoes
pppoes 1
pppoes and ip
pppoes 2 and tcp port 80
pppoes and ip6 host 2001:db8::1
vlan and pppoes and udp
less 100
greater 100
len > 100
len <= 80
length = 60
len != 60
100 < len
len - 14 > 100
len & 1 = 0
broadcast
multicast
ether broadcast
ether multicast
ip broadcast
ip multicast
ip6 multicast
tcp[tcpflags] & (tcp-syn|tcp-fin) != 0
tcp[tcpflags] & tcp-syn != 0 and tcp[tcpflags] & tcp-ack = 0
tcp[tcpflags] == tcp-syn
tcp[13] & 2 != 0
tcp[13] = 18
tcp[0:2] = 80
tcp[2:2] > 1023
tcp[4:4] & 0xf = 0
tcp[((tcp[12:1] & 0xf0) >> 2):4] & 0xf = 5
udp[4:2] < 10000
udp[0:2] = udp[2:2]
icmp[icmptype] = icmp-echo
icmp[icmptype] != icmp-echo and icmp[icmptype] != icmp-echoreply
icmp[icmpcode] = 1
icmp6[icmp6type] = icmp6-echo
icmp6[0] = icmp6-neighborsolicit
sctp[0:2] = 22
igmp[0] > 0x40
pim[0] > 1
ip[0] & 0xf != 5
ip[8] < 64
ip[9] = 6
ip[6:2] & 0x1fff = 0
ip[6:2] & 0x1fff != 0
ip[2:2] - ((ip[0]&0xf)<<2) > 100
ip[12:4] = 0x0a000001
ip[12:4] & 0xff000000 = 0x0a000000
ip[16] >= 224
ip[ip[0] & 0xf] = 0
ip6[6] = 17
ip6[6] != 17
ip6[40:2] = 80
arp[6:2] = 1
arp[7] != 1
rarp[7] = 2
ether[0] & 1 = 1
ether[12:2] = 0x806
ether[12:2] > 1500
ether[6:4] = 0x02000000
ether[len - 1] = 5
ip[-2:2] = 0x800
-1 = 0xffffffff
1 + 1 = 2
5 > 6
5 < 6
len / 2 > 40
len * 2 < 200
len % 2 = 1
len ^ 1 = 61
(len - 14) / 4 * 4 = len - 14
1 << 3 = 8
ip[0] >> 4 = 4
ip[1] | 1 = 3
ip[1] / 2 > 0
len = len
tcp and not port 80
tcp or udp and port 53
udp or tcp and port 53
not tcp and not udp
not (tcp or udp)
! tcp
!(tcp && port 80) || udp
tcp && port 80
tcp || icmp
((tcp))
((tcp) and ((port 80)))
not not tcp
ip and not tcp
not ip and not ip6
host 10.0.0.1 or 10.1.2.3 and port 80
(host 10.0.0.1 or 10.1.2.3) and port 80
port 80 and host 10.0.0.1 or 192.0.2.1
(port 80 or 443) and not src net 10.0.0.0/8
src host 10.0.0.1 or src 10.1.2.3
net 10.0.0.0/8 and not port 22
tcp port 22 or udp port 53 or icmp
ip host 10.0.0.1 and tcp[13] & 2 != 0 and len > 60
ether proto 0x800 and ip proto 6 and not net 10.0.0.0/8
`), "\n")

// TestTcpdumpAgrees compares verdicts with those of tcpdump's programs, on generated frames of all link types.
func TestTcpdumpAgrees(t *testing.T) {
	t.Parallel()
	for link := range links {
		sample := frames(rand.New(rand.NewPCG(1, uint64(link))), link, 2500)
		list := expressions
		if link != dissect.LinkEthernet {
			list = everywhere
		}
		for _, text := range list {
			if agree(t, link, text, sample) == 0 && link == dissect.LinkEthernet && !slices.Contains(contradictions, text) {
				t.Errorf("%s: no frame was taken: nothing was tested", text)
			}
		}
	}
}

// everywhere are expressions that all link types have.
var everywhere = strings.Split(`ip
ip6
arp
udp
icmp6
host 10.0.0.1
not host 10.0.0.1
src host 2001:db8::1
net 10.0.0.0/8 and not port 22
ip6 net 2001:db8:1::/48
port 80 or 443
src portrange 50-90
proto 47
ip multicast
len > 60
greater 100
tcp[tcpflags] & tcp-syn != 0
udp[0:2] = udp[2:2]
icmp6[icmp6type] = icmp6-echo
ip[2:2] - ((ip[0]&0xf)<<2) > 100
ip6[40:2] = 80`, "\n")

// contradictions are expressions that no frame, or no generated one, makes true.
var contradictions = []string{"5 > 6", "host 10", "net 2001:db8:8000::/33"}

// TestCorporaAgree does so on the captures of the corpora.
func TestCorporaAgree(t *testing.T) {
	t.Parallel()
	const most = 30 // frames of a capture
	sample := map[dissect.LinkType][][]byte{}
	for _, c := range dissecttest.Captures(t) {
		n := 0
		c.Each(t, func(f pcapfile.Frame) {
			if n++; n <= most {
				link := dissect.LinkType(f.LinkType)
				sample[link] = append(sample[link], slices.Clone(f.Data))
			}
		})
	}
	for _, link := range []dissect.LinkType{dissect.LinkEthernet, dissect.LinkRaw, dissect.LinkSLL} {
		t.Logf("link type %d: %d frames", link, len(sample[link]))
		list := expressions
		if link != dissect.LinkEthernet {
			list = everywhere
		}
		for _, text := range list {
			agree(t, link, text, sample[link])
		}
	}
}

// TestRandomAgree compares random expressions: as many as take about a second; more with -count.
func TestRandomAgree(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	sample := frames(r, dissect.LinkEthernet, 1000)
	for range 80 {
		agree(t, dissect.LinkEthernet, randomExpression(r, 4), sample)
	}
}

// randomExpression makes an expression that tcpdump takes.
func randomExpression(r *rand.Rand, depth int) string {
	if depth > 0 {
		switch r.IntN(7) {
		case 0, 1:
			return randomExpression(r, depth-1) + pick(r, []string{" and ", " && "}) + randomExpression(r, depth-1)
		case 2, 3:
			return randomExpression(r, depth-1) + pick(r, []string{" or ", " || "}) + randomExpression(r, depth-1)
		case 4:
			return pick(r, []string{"not (", "!("}) + randomExpression(r, depth-1) + ")"
		case 5:
			return "(" + randomExpression(r, depth-1) + ")"
		}
	}
	dir := pick(r, []string{"", "src ", "dst ", "src or dst ", "src and dst "})
	a := pick(r, addrs4)
	switch r.IntN(9) {
	case 0:
		return pick(r, []string{"", "ip ", "arp "}) + dir + fmt.Sprintf("host %d.%d.%d.%d", a[0], a[1], a[2], a[3])
	case 1:
		return dir + fmt.Sprintf("net %d.0.0.0/%d", a[0], 8+r.IntN(25))
	case 2:
		return pick(r, []string{"", "tcp ", "udp ", "sctp "}) + dir + fmt.Sprintf("port %d", pick(r, ports))
	case 3:
		return dir + fmt.Sprintf("portrange %d-%d", pick(r, ports), pick(r, ports))
	case 4:
		return dir + fmt.Sprintf("net 2001:db8:%d::/%d", r.IntN(2), 48+r.IntN(40))
	case 5:
		return randomArithmetic(r, 3) + pick(r, []string{" = ", " != ", " > ", " < ", " >= ", " <= "}) + pick(r, []string{fmt.Sprint(r.IntN(300)), randomArithmetic(r, 2)})
	case 6:
		return fmt.Sprintf("%s %d", pick(r, []string{"less", "greater", "ip proto", "ip6 proto"}), r.IntN(130))
	default:
		return pick(r, []string{"ip", "ip6", "arp", "tcp", "udp", "icmp", "icmp6", "broadcast", "multicast", "ip multicast", "ether src 02:00:00:00:00:01"})
	}
}

// randomArithmetic makes arithmetic whose right operands are without fields: tcpdump forgets to test their protocols.
func randomArithmetic(r *rand.Rand, depth int) string {
	if depth > 0 && r.IntN(2) == 0 {
		l := randomArithmetic(r, depth-1)
		if r.IntN(2) == 0 {
			return l + pick(r, []string{" + len", " - len", " * 3", " & 0xfff", " | len", " + (len & 7)"})
		}
		return "((" + l + ")" + pick(r, []string{" + ", " - ", " & ", " | ", " << ", " >> ", " / ", " % "}) + fmt.Sprint(1+r.IntN(9)) + ")"
	}
	if r.IntN(4) == 0 {
		return "len"
	}
	return fmt.Sprintf("%s[%d:%d]", pick(r, []string{"ip", "ether", "tcp", "udp", "ip6", "icmp"}), r.IntN(20), 1<<r.IntN(3))
}
