package parquet

import (
	"net/netip"
	"unsafe"

	"github.com/caprock-net/caprock/netflow"
)

// octets holds the decimal digits of 0 to 255 and their number.
var octets = func() (t [256][4]byte) {
	for i := range t {
		n := 0
		if i >= 100 {
			t[i][n] = '0' + byte(i/100)
			n++
		}
		if i >= 10 {
			t[i][n] = '0' + byte(i/10%10)
			n++
		}
		t[i][n] = '0' + byte(i%10)
		t[i][3] = byte(n + 1)
	}
	return t
}()

// appendAddr appends a as Addr.AppendText does; IPv4 goes by a table.
func appendAddr(dst []byte, a *netflow.Addr) []byte {
	if !a.Is4() {
		return a.AppendText(dst)
	}
	var p [16]byte
	n := 0
	for i, x := range a[12:] {
		if i > 0 {
			p[n] = '.'
			n++
		}
		o := &octets[x]
		le.PutUint32(p[n:n+4], le.Uint32(o[:]))
		n += int(o[3])
	}
	return append(dst, p[:n]...)
}

// parseAddr is the inverse of appendAddr; the empty text is the zero Addr.
func parseAddr(text []byte) (netflow.Addr, bool) {
	if len(text) == 0 {
		return netflow.Addr{}, true
	}
	if a, ok := parseIPv4(text); ok {
		return netflow.AddrFrom4(a), true
	}
	if a, ok := parseIPv6(text); ok {
		return a, true
	}
	// The rare spellings. The string lives no longer than the call.
	a, err := netip.ParseAddr(unsafe.String(&text[0], len(text)))
	if err != nil || a.Zone() != "" {
		return netflow.Addr{}, false
	}
	return netflow.AddrFrom(a), true
}

// parseIPv4 takes the usual spelling: four numbers without leading zeros.
func parseIPv4(text []byte) (a [4]byte, ok bool) {
	value, digits, part := 0, 0, 0
	for _, c := range text {
		if c == '.' {
			if digits == 0 || part == 3 {
				return a, false
			}
			a[part] = byte(value)
			part++
			value, digits = 0, 0
			continue
		}
		d := int(c) - '0'
		if d < 0 || d > 9 || digits > 0 && value == 0 {
			return a, false
		}
		value = value*10 + d
		if digits++; value > 255 {
			return a, false
		}
	}
	if part != 3 || digits == 0 {
		return a, false
	}
	a[3] = byte(value)
	return a, true
}

// parseIPv6 takes groups of lower-case hexadecimal digits with at most one "::", as RFC 5952 has them.
func parseIPv6(text []byte) (a netflow.Addr, ok bool) {
	n, gap := 0, -1 // bytes of a; where "::" stands
	for i := 0; i < len(text); {
		if text[i] == ':' {
			if i+1 < len(text) && text[i+1] == ':' {
				if gap >= 0 {
					return a, false
				}
				gap = n
				i += 2
				continue
			}
			if i++; n == 0 || n == gap || i == len(text) {
				return a, false
			}
		}
		value, begin := uint32(0), i
		for ; i < len(text) && text[i] != ':'; i++ {
			d := hexDigits[text[i]]
			if d > 15 {
				return a, false
			}
			value = value<<4 | uint32(d)
		}
		if digits := i - begin; digits == 0 || digits > 4 || n == 16 {
			return a, false
		}
		a[n], a[n+1] = byte(value>>8), byte(value)
		n += 2
	}
	if gap < 0 {
		return a, n == 16
	}
	if n > 14 {
		return a, false
	}
	copy(a[16-(n-gap):], a[gap:n])
	clear(a[gap : 16-(n-gap)])
	return a, true
}

// hexDigits gives the value of a lower-case hexadecimal digit, 255 for other bytes.
var hexDigits = func() (t [256]byte) {
	for i := range t {
		t[i] = 255
	}
	for i, c := range []byte("0123456789abcdef") {
		t[c] = byte(i)
	}
	return t
}()

// parseMAC reads what MAC.AppendText writes; the empty text is 0.
func parseMAC(text []byte) (v uint64, ok bool) {
	if len(text) == 0 {
		return 0, true
	}
	if len(text) != 17 {
		return 0, false
	}
	for i, c := range text {
		if i%3 == 2 {
			if c != ':' {
				return 0, false
			}
			continue
		}
		d := hexDigits[c]
		if d > 15 {
			return 0, false
		}
		v = v<<4 | uint64(d)
	}
	return v, true
}
