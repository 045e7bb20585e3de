package query

import (
	"fmt"
	"slices"
	"testing"

	"github.com/caprock-net/caprock/netflow"
)

// meets tells whether a condition holds for a flow.
func meets(c *Condition, r *netflow.Record) bool {
	for _, col := range netflow.Columns() {
		switch {
		case !c.Columns.Has(col):
		case len(c.Addrs) > 0:
			if slices.Contains(c.Addrs, addrOf(r, col)) {
				return true
			}
		case slices.ContainsFunc(c.Ranges, func(s Range) bool { return s.Lo <= numberOf(r, col) && numberOf(r, col) <= s.Hi }):
			return true
		}
	}
	return false
}

// TestConditions: what is told about a filter, besides that it holds, which TestEvaluationEqualsTheOracle looks at.
func TestConditions(t *testing.T) {
	for _, test := range []struct{ filter, want string }{
		{"any", ""},
		{"not host 10.0.0.1", ""},
		{"net 10.0.0.0/8", ""},
		{"bytes > 1000 or host 10.0.0.1", ""},
		{"src ip 10.0.0.1 and dst ip 2001:db8::1", "src_addr 10.0.0.1; dst_addr 2001:db8::1"},
		{"host 10.0.0.1", "src_addr dst_addr 10.0.0.1"},
		{"host 10.0.0.1 and host 10.0.0.2", "src_addr dst_addr 10.0.0.1; src_addr dst_addr 10.0.0.2"},
		{"src ip in [10.0.0.1 10.0.0.2] and not tcp", "src_addr 10.0.0.1 10.0.0.2"},
		{"udp and src port 53 and dst ip 10.0.0.1", "proto 17-17; src_port 53-53; dst_addr 10.0.0.1"},
		{"port 53", "src_port dst_port 53-53"},
		{"dst port < 1024", "dst_port 0-1023"},
		{"(src ip 10.0.0.1 and dst port 1) or (dst ip 10.0.0.2 and src port 2)", "src_addr dst_addr 10.0.0.1 10.0.0.2; src_port dst_port 1-1 2-2"},
		{"tcp or udp", "proto 6-6 17-17"},
		{"tcp or port 53", ""},
	} {
		f, err := ParseFilter(test.filter)
		if err != nil {
			t.Fatal(err)
		}
		var got string
		for _, c := range f.Conditions() {
			if got != "" {
				got += "; "
			}
			space := ""
			for _, col := range netflow.Columns() {
				if c.Columns.Has(col) {
					got += space + col.String()
					space = " "
				}
			}
			for _, a := range c.Addrs {
				got += " " + a.String()
			}
			for _, r := range c.Ranges {
				got += fmt.Sprintf(" %d-%d", r.Lo, r.Hi)
			}
		}
		if got != test.want {
			t.Errorf("%s: %q, want %q", test.filter, got, test.want)
		}
	}
	var none *Filter
	if none.Conditions() != nil || !none.Match(nil, 0) {
		t.Error("the nil filter has conditions")
	}
}
