//go:build race

package probe

const raced = true // the race detector is on, and everything slow
