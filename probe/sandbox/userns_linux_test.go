package sandbox

import "testing"

func TestMapped(t *testing.T) {
	for _, test := range []struct {
		text string
		id   int
		want bool
	}{
		{"         0          0 4294967295\n", 65534, true},
		{"         0       1000          1\n", 65534, false},
		{"         0       1000          1\n", 0, true},
		{"0 1000 1\n1 100000 65536\n", 65534, true},
		{"0 1000 1\n1 100000 65533\n", 65534, false},
		{"", 0, false},
	} {
		if got := mapped(test.text, test.id); got != test.want {
			t.Errorf("%d in %q: %v", test.id, test.text, got)
		}
	}
}
