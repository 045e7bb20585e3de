//go:build !race

package decode_test

// slowdown is how much longer code takes than without the race detector.
const slowdown = 1
