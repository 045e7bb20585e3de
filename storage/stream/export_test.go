package stream

import "hash/crc32"

// FixChecksums puts the right checksums into the first header and the frames behind it, as far as their lengths make
// sense, so that a fuzzer reaches the code behind the checks.
func FixChecksums(data []byte) {
	if len(data) < headerFixed {
		return
	}
	n, err := headerLength(data)
	if err != nil || n > len(data) {
		return
	}
	le.PutUint32(data[n-4:], crc32.Checksum(data[:n-4], castagnoli))
	for data = data[n:]; len(data) >= frameHeader; data = data[n:] {
		n = frameHeader + int(le.Uint32(data[4:]))
		if n > len(data) {
			return
		}
		le.PutUint32(data[checksumAt:], frameChecksum(data, data[frameHeader:n]))
	}
}
