//go:build race

package decode_test

// slowdown is how much longer code takes under the race detector, at most.
const slowdown = 50
