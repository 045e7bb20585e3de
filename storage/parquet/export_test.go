package parquet

import (
	"bytes"
	"fmt"
	"hash/crc32"
)

// FixFooter puts the right checksum into the footer at the end of data, if it has one.
func FixFooter(data []byte) []byte {
	n := len(data) - 8
	if n < 0 || int64(le.Uint32(data[n:])) > int64(n) {
		return data
	}
	b := data[n-int(le.Uint32(data[n:])) : n]
	if at := checksumIn(b); at >= 0 {
		copy(b[at:], zeroSum)
		copy(b[at:], fmt.Sprintf("%08x", crc32.Checksum(b, castagnoli)))
	}
	return data
}

// WithVersion returns data with another value of one digit for the version in its footer.
func WithVersion(data []byte, version string) []byte {
	data = bytes.Clone(data)
	at := bytes.LastIndex(data, []byte(keyVersion)) + len(keyVersion) + 2
	copy(data[at:], version)
	return FixFooter(data)
}
