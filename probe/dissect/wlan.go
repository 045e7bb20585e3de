package dissect

import "encoding/binary"

// wlan reads an 802.11 data frame (IEEE 802.11-2020 section 9.3.2.1) that is not encrypted, and the LLC header in it. A
// frame that aggregates several packets (A-MSDU) is NonIP: it is not one packet. Some receivers pad the header to a
// multiple of four bytes; padded says so.
func wlan(b []byte, missing int, padded bool, p *Packet) Verdict {
	if len(b) < 24 {
		return NonIP
	}
	control, flags := b[0], b[1]
	const data, protected = 2, 0x40
	if control&3 != 0 || control>>2&3 != data || flags&protected != 0 {
		return NonIP
	}
	subtype := control >> 4
	if subtype&4 != 0 { // "null" subtypes carry no data
		return NonIP
	}
	toDS, fromDS := flags&1 != 0, flags&2 != 0
	header := 24
	switch {
	case toDS && fromDS:
		header = 30
		if len(b) < header {
			return NonIP
		}
		p.DstMAC, p.SrcMAC = [6]byte(b[16:]), [6]byte(b[24:])
	case toDS:
		p.DstMAC, p.SrcMAC = [6]byte(b[16:]), [6]byte(b[10:])
	case fromDS:
		p.DstMAC, p.SrcMAC = [6]byte(b[4:]), [6]byte(b[16:])
	default:
		p.DstMAC, p.SrcMAC = [6]byte(b[4:]), [6]byte(b[10:])
	}
	if subtype&8 != 0 { // QoS control; with the order bit set HT control follows
		if len(b) < header+2 {
			return NonIP
		}
		if b[header]&0x80 != 0 { // A-MSDU present
			return NonIP
		}
		header += 2
		if flags&0x80 != 0 {
			header += 4
		}
	}
	if padded {
		header = (header + 3) &^ 3
	}
	if len(b) < header {
		return NonIP
	}
	return llc(b[header:], missing, p)
}

// radiotap skips a radiotap header (https://www.radiotap.org): version, pad, length and words of presence bits, all
// little-endian. Of its fields only the flags matter: whether the 802.11 header is padded.
func radiotap(b []byte, missing int, p *Packet) Verdict {
	if len(b) < 8 || b[0] != 0 {
		return NonIP
	}
	length := int(binary.LittleEndian.Uint16(b[2:]))
	if length < 8 || length > len(b) {
		return NonIP
	}
	present := binary.LittleEndian.Uint32(b[4:])
	field := 8
	for more := present; more&(1<<31) != 0; field += 4 { // further words of presence bits
		if field+4 > length {
			return NonIP
		}
		more = binary.LittleEndian.Uint32(b[field:])
	}
	if present&1 != 0 { // time stamp, eight bytes, aligned
		field = (field+7)&^7 + 8
	}
	padded := present&2 != 0 && field < length && b[field]&0x20 != 0
	return wlan(b[length:], missing, padded, p)
}
