package netflow

import "net/netip"

// Addr is an IPv4 address as IPv4-mapped IPv6 (RFC 4291 section 2.5.5.2) or an IPv6 address, in network byte order.
// It is comparable, has no pointers, and is a faster map key than netip.Addr with its zone.
type Addr [16]byte

// AddrFrom4 maps an IPv4 address in network byte order.
func AddrFrom4(a [4]byte) Addr {
	return Addr{10: 0xff, 11: 0xff, 12: a[0], 13: a[1], 14: a[2], 15: a[3]}
}

// AddrFrom converts a netip.Addr; its zone is dropped. The invalid netip.Addr gives the zero Addr.
func AddrFrom(a netip.Addr) Addr {
	if !a.IsValid() {
		return Addr{}
	}
	return a.As16()
}

// Is4 reports whether a is an IPv4 address.
func (a Addr) Is4() bool {
	return a[10] == 0xff && a[11] == 0xff &&
		a[0]|a[1]|a[2]|a[3]|a[4]|a[5]|a[6]|a[7]|a[8]|a[9] == 0
}

// IsZero reports whether all 16 bytes are zero: "not told", or the IPv6 address ::.
func (a Addr) IsZero() bool { return a == Addr{} }

// Netip converts to a netip.Addr, IPv4 unmapped.
func (a Addr) Netip() netip.Addr { return netip.AddrFrom16(a).Unmap() }

// AppendText appends the address as a person types it: 10.0.0.1 or 2001:db8::1.
func (a Addr) AppendText(dst []byte) []byte { return a.Netip().AppendTo(dst) }

// String is AppendText as a string.
func (a Addr) String() string { return a.Netip().String() }

// MAC is an IEEE 802 address. The zero MAC means "not told".
type MAC [6]byte

// Uint64 returns the address as a number, the first byte the most significant of 48 bits.
func (m MAC) Uint64() uint64 {
	return uint64(m[0])<<40 | uint64(m[1])<<32 | uint64(m[2])<<24 | uint64(m[3])<<16 | uint64(m[4])<<8 | uint64(m[5])
}

// MACFrom is the inverse of MAC.Uint64; the upper 16 bits are ignored.
func MACFrom(v uint64) MAC {
	return MAC{byte(v >> 40), byte(v >> 32), byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)}
}

// AppendText appends the address as six pairs of lower-case hexadecimal digits with colons.
func (m MAC) AppendText(dst []byte) []byte {
	const digits = "0123456789abcdef"
	for i, b := range m {
		if i > 0 {
			dst = append(dst, ':')
		}
		dst = append(dst, digits[b>>4], digits[b&15])
	}
	return dst
}

// String is AppendText as a string.
func (m MAC) String() string { return string(m.AppendText(nil)) }
