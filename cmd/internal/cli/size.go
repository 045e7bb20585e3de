package cli

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Size is a flag for a number of bytes: 65536, 512KiB, 64MiB, 1GiB. K, M and G mean the same.
type Size int64

// maxSize is more than any buffer has and less than what overflows.
const maxSize = 1 << 40

var sizeUnits = []struct {
	name string
	size int64
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"G", 1 << 30}, {"M", 1 << 20}, {"K", 1 << 10}, {"B", 1}, {"", 1}}

// Set implements pflag.Value.
func (s *Size) Set(text string) error {
	for _, u := range sizeUnits {
		if digits, ok := strings.CutSuffix(text, u.name); ok {
			n, err := strconv.ParseUint(digits, 10, 63)
			if err != nil || n > uint64(maxSize/u.size) {
				break
			}
			*s = Size(int64(n) * u.size)
			return nil
		}
	}
	return fmt.Errorf("size %q: want bytes, or a number with KiB, MiB or GiB", text)
}

// String implements pflag.Value.
func (s *Size) String() string {
	for _, u := range sizeUnits {
		if n := int64(*s); n > 0 && u.size > 1 && n%u.size == 0 {
			return fmt.Sprint(n/u.size, u.name)
		}
	}
	return fmt.Sprint(int64(*s))
}

// Int returns the bytes as an int; what a 32-bit one does not hold is its greatest value, for a limit to refuse.
func (s Size) Int() int { return int(min(s, math.MaxInt)) }

// Type implements pflag.Value.
func (s *Size) Type() string { return "size" }
