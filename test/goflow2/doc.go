// Package goflow2 has what the probe exports judged by goflow2, a collector in Go: its decoders read every template set
// that we can send, and its producer says what it makes of the flows. It is a module of its own, so that the product does
// not depend on what goflow2 needs.
package goflow2
