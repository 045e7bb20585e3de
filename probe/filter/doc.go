// Package filter compiles the filter expressions of tcpdump (pcap-filter(7)) to BPF programs, without libpcap: text goes
// in, a [Program] comes out that either Linux's and the BSDs' kernels run at a capturing socket, or [Program.Run] here.
//
// [Parse] reads an expression. What it takes: host, net (also 10/8 and "mask"), port, portrange and proto with ip, ip6,
// arp, rarp, ether, tcp, udp, sctp and src, dst, src or dst, src and dst; the names of protocols alone; ether host, src,
// dst, proto; vlan, mpls and pppoes, with or without a number; less, greater; broadcast, multicast; inbound, outbound;
// comparisons of arithmetic over proto[offset:size], len and numbers; and, or, not, parentheses; and what is left out
// because it was said before ("port 80 or 443"). As in tcpdump "and" and "or" bind alike and group from the left, and
// vlan, mpls and pppoes move the place of everything that follows them in the text, to the end of the expression.
// Everything else (names of hosts and networks, gateway, protochain, 802.11, IS-IS, ATM...) is an [Error], which points at
// the place. [ParseText] also takes the numbers that tcpdump -ddd prints, where libpcap has what is missing here.
//
// A load behind the end of a frame rejects it, as everywhere in BPF: a frame cut short by the capture fails both
// "port 80" and "not port 80" when its ports are missing.
//
// Where it differs from tcpdump 4.99: "net 10/8" and "ip proto tcp" are taken; vlan and mpls work on Linux cooked captures;
// of BSD loopback captures every system's address families and byte orders are known; "ip broadcast" is always without a
// netmask (255.255.255.255 and 0.0.0.0), as tcpdump does for files; and "a % b + c", which tcpdump reads as a % (b + c),
// wants its parentheses. In arithmetic every field wants its protocol: "100 / ip[1] > 40" is false for ARP, where
// tcpdump forgets to test what is right of an operator.
package filter
