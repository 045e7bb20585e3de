package query

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caprock-net/caprock/netflow"
)

// Field is what flows are grouped by: a column, or something made of columns. ParseField knows their names.
type Field struct {
	name    string
	kind    Kind
	columns [2]netflow.Column // of the source side and the destination side; the same unless the field is two-sided
	masks   [2]netflow.Column // of KindNet: the columns with the prefix lengths
	two     bool              // counted once for each side of a flow
	bits4   uint8             // of KindAddr: prefix lengths for IPv4 and IPv6
	bits6   uint8
	bin     time.Duration // of KindTime: length of the bins, 0 for none
}

// Kind says what the values of a Field are.
type Kind uint8

// The kinds of values.
const (
	KindNumber Kind = iota
	KindAddr        // an address, or a prefix if the field was given a length
	KindNet         // a prefix whose length came with the flow
	KindTime        // microseconds since 1970, or the begin of a bin
	KindMAC
)

// String returns the field's name as it was given to ParseField, in lower case.
func (f Field) String() string { return f.name }

// Kind returns what the field's values are.
func (f Field) Kind() Kind { return f.kind }

// TwoSided reports whether a flow counts once for its source and once for its destination, so that the groups add up
// to twice the total.
func (f Field) TwoSided() bool { return f.two }

// Column returns the column that the values come from, of the source side if the field is two-sided.
func (f Field) Column() netflow.Column { return f.columns[0] }

// Bin returns the length of the bins of a field of KindTime, 0 if it has none.
func (f Field) Bin() time.Duration { return f.bin }

// twoSided are the fields that look at both ends of a flow. Two of them in a query look at the same end.
var twoSided = map[string][2]netflow.Column{
	"addr": pair(netflow.SrcAddr, netflow.DstAddr), "port": pair(netflow.SrcPort, netflow.DstPort),
	"as": pair(netflow.SrcAS, netflow.DstAS), "mask": pair(netflow.SrcMask, netflow.DstMask),
	"mac": pair(netflow.SrcMAC, netflow.DstMAC), "if": pair(netflow.Input, netflow.Output),
	"tunnel_addr": pair(netflow.TunnelSrcAddr, netflow.TunnelDstAddr),
}

var bins = map[string]time.Duration{"minute": time.Minute, "hour": time.Hour, "day": 24 * time.Hour}

// ParseField reads the name of a field:
//
//   - any column: src_addr, dst_port, proto ...
//   - an address column and a prefix length: src_addr/24 counts IPv4 in networks of /24 and IPv6 in networks of /64;
//     src_addr/24:48 says both; a length above 32 alone is for IPv6 and leaves IPv4 whole
//   - addr, port, as, mask, mac, if, tunnel_addr: both ends of a flow, which counts once for each; addresses take a length too
//   - net, src_net, dst_net: the address cut to the prefix length that came with the flow in src_mask and dst_mask
//   - minute, hour, day: when the flow began; start/5m, end/1h, received/10s: bins of any length that divides a day
func ParseField(text string) (Field, error) {
	name, suffix, hasSuffix := strings.Cut(strings.ToLower(strings.TrimSpace(text)), "/")
	f := Field{name: name, bits4: 32, bits6: 128}
	bin, isBin := bins[name]
	c, isColumn := netflow.ColumnByName(name)
	ends, isTwo := twoSided[name]
	switch {
	case isColumn:
		f.columns = one(c)
	case isTwo:
		f.columns, f.two = ends, true
	case isBin:
		f.columns, f.kind, f.bin = one(netflow.Start), KindTime, bin
		if hasSuffix {
			return Field{}, fmt.Errorf("field %q: write start/5m for bins of another length", text)
		}
		return f, nil
	case name == "src_net":
		f.columns, f.masks, f.kind = one(netflow.SrcAddr), one(netflow.SrcMask), KindNet
	case name == "dst_net":
		f.columns, f.masks, f.kind = one(netflow.DstAddr), one(netflow.DstMask), KindNet
	case name == "net":
		f.columns, f.masks, f.kind = pair(netflow.SrcAddr, netflow.DstAddr), pair(netflow.SrcMask, netflow.DstMask), KindNet
		f.two = true
	default:
		hint := ""
		if s := suggest(name, FieldNames()); s != "" {
			hint = ": " + didYouMean(s)
		}
		return Field{}, fmt.Errorf("unknown field %q%s", text, hint)
	}
	if f.kind != KindNet {
		switch f.columns[0].Kind() {
		case netflow.KindAddr:
			f.kind = KindAddr
		case netflow.KindTime:
			f.kind = KindTime
		case netflow.KindMAC:
			f.kind = KindMAC
		}
	}
	if !hasSuffix {
		return f, nil
	}
	f.name += "/" + suffix
	switch f.kind {
	case KindAddr:
		if !f.prefix(suffix) {
			return Field{}, fmt.Errorf("field %q: expected a prefix length such as /24, /64 or /24:64", text)
		}
	case KindTime:
		d, err := time.ParseDuration(suffix)
		if err != nil || d < time.Millisecond || d > 24*time.Hour || 24*time.Hour%d != 0 {
			return Field{}, fmt.Errorf("field %q: expected a duration that divides a day, such as /5m", text)
		}
		f.bin = d
	default:
		return Field{}, fmt.Errorf("field %q: %s takes nothing after a slash", text, name)
	}
	return f, nil
}

// prefix reads N or N:M.
func (f *Field) prefix(s string) bool {
	four, six, both := strings.Cut(s, ":")
	n, err := strconv.ParseUint(four, 10, 8)
	switch {
	case err != nil || n > 128 || n > 32 && both:
		return false
	case n > 32:
		f.bits6 = uint8(n)
		return true
	}
	f.bits4, f.bits6 = uint8(n), 64
	if both {
		m, err := strconv.ParseUint(six, 10, 8)
		if err != nil || m > 128 {
			return false
		}
		f.bits6 = uint8(m)
	}
	return true
}

// ParseFields reads names separated by commas.
func ParseFields(text string) ([]Field, error) {
	var fields []Field
	for name := range strings.SplitSeq(text, ",") {
		f, err := ParseField(name)
		if err != nil {
			return nil, err
		}
		fields = append(fields, f)
	}
	return fields, nil
}

// FieldNames lists the names that ParseField knows, columns first.
func FieldNames() []string {
	var names []string
	for _, c := range netflow.Columns() {
		names = append(names, c.String())
	}
	more := []string{"src_net", "dst_net", "net", "minute", "hour", "day"}
	for name := range twoSided {
		more = append(more, name)
	}
	slices.Sort(more)
	return append(names, more...)
}

// ends returns the columns of the source and the destination side that the field reads.
func (f Field) read(side int) netflow.ColumnSet {
	s := netflow.SetOf(f.columns[side])
	if f.kind == KindNet {
		s |= netflow.SetOf(f.masks[side])
	}
	if f.ipEnd(side) {
		s |= netflow.SetOf(netflow.IPVersion)
	}
	return s
}

// ipEnd reports whether the field is one end of a flow, of which IPVersion says whether it is there.
func (f Field) ipEnd(side int) bool {
	return f.columns[side] == netflow.SrcAddr || f.columns[side] == netflow.DstAddr
}

// Value is one part of a group's key.
type Value struct {
	Field Field
	Num   uint64       // numbers; times as the bits of an int64; MAC addresses as MAC.Uint64
	Addr  netflow.Addr // of KindAddr and KindNet
	Bits  uint8        // prefix length of KindAddr and KindNet, as for the address's own family
	None  bool         // the flows lack the field
}

// AppendText appends the value as a person reads it: an address, a prefix, a name or a number. Times are in RFC 3339,
// UTC. Nothing is appended for a value that the flows lack.
func (v Value) AppendText(dst []byte) []byte {
	if v.None {
		return dst
	}
	switch v.Field.kind {
	case KindAddr, KindNet:
		a := v.Addr.Netip()
		if int(v.Bits) < a.BitLen() {
			return netip.PrefixFrom(a, int(v.Bits)).AppendTo(dst)
		}
		return a.AppendTo(dst)
	case KindMAC:
		return netflow.MACFrom(v.Num).AppendText(dst)
	case KindTime:
		return v.Time().AppendFormat(dst, "2006-01-02T15:04:05.999999Z07:00")
	}
	return strconv.AppendUint(dst, v.Num, 10)
}

// String is AppendText as a string.
func (v Value) String() string { return string(v.AppendText(nil)) }

// Time returns a value of KindTime.
func (v Value) Time() time.Time { return netflow.Timestamp(v.Num).Time() }

// Name returns the name of a protocol, an end reason, a direction or an export version, TCP flags as letters, and
// otherwise what AppendText gives.
func (v Value) Name() string {
	if v.None {
		return ""
	}
	if v.Field.kind == KindNumber {
		switch v.Field.columns[0] {
		case netflow.Proto, netflow.TunnelProto:
			return ProtoName(uint8(v.Num))
		case netflow.EndReason:
			return EndReasonName(uint8(v.Num))
		case netflow.Direction:
			return DirectionName(uint8(v.Num))
		case netflow.ExportVersion:
			return ExportVersionName(uint8(v.Num))
		case netflow.TCPFlags, netflow.ReverseTCPFlags:
			return string(AppendTCPFlags(nil, uint16(v.Num)))
		}
	}
	return v.String()
}
