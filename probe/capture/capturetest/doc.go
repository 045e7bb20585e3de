// Package capturetest has what tests of live capture need: network namespaces, pairs of interfaces, frames on them. It is
// for Linux, and skips tests without root.
package capturetest
