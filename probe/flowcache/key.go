package flowcache

import (
	"errors"
	"fmt"
	"strings"
)

// KeyFields says which fields of a packet tell flows apart. The version of IP always does. Fields outside the key are
// in the record as the flow's first packet had them, except the TCP flags, which are or-ed over all packets
// (RFC 7011 section 2, RFC 7125).
type KeyFields uint16

// The fields a key may have.
const (
	KeySrcAddr KeyFields = 1 << iota
	KeyDstAddr
	KeySrcPort
	KeyDstPort // of ICMP and ICMPv6: type << 8 | code, so that each type of message is a flow
	KeyProto
	KeyTOS
	KeyInput
	KeyVLAN
	KeySrcMAC
	KeyDstMAC
)

// KeyFiveTuple is the classic key, DefaultKey what NetFlow on routers uses.
const (
	KeyFiveTuple = KeySrcAddr | KeyDstAddr | KeySrcPort | KeyDstPort | KeyProto
	DefaultKey   = KeyFiveTuple | KeyTOS | KeyInput
)

// ErrKey is wrapped by every error of ParseKey.
var ErrKey = errors.New("flow key")

// keyNames are the names of the storage columns, in the order of the bits.
var keyNames = [...]string{"src_addr", "dst_addr", "src_port", "dst_port", "proto", "tos", "input", "vlan", "src_mac", "dst_mac"}

// ParseKey reads field names separated by commas, as in "src_addr,dst_addr,proto". Blanks around names and repeated
// names are allowed.
func ParseKey(text string) (KeyFields, error) {
	var key KeyFields
next:
	for _, name := range strings.Split(text, ",") {
		name = strings.TrimSpace(name)
		for i, known := range keyNames {
			if name == known {
				key |= 1 << i
				continue next
			}
		}
		if name == "" {
			return 0, fmt.Errorf("%w: a name is missing in %q; valid are %s", ErrKey, text, strings.Join(keyNames[:], ", "))
		}
		return 0, fmt.Errorf("%w: unknown field %q; valid are %s", ErrKey, name, strings.Join(keyNames[:], ", "))
	}
	return key, nil
}

// String is what ParseKey reads.
func (k KeyFields) String() string {
	var names []string
	for i, name := range keyNames {
		if k&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, ",")
}

// symmetric complains of a key that tells the two ends of a conversation apart, or does not know them.
func (f KeyFields) symmetric() error {
	if f&(KeySrcAddr|KeyDstAddr) != KeySrcAddr|KeyDstAddr {
		return fmt.Errorf("%w: biflows need src_addr and dst_addr in it", ErrKey)
	}
	for _, both := range []KeyFields{KeySrcPort | KeyDstPort, KeySrcMAC | KeyDstMAC} {
		if has := f & both; has != 0 && has != both {
			return fmt.Errorf("%w: %v without %v: biflows need both or neither", ErrKey, has, both&^has)
		}
	}
	return nil
}
