//go:build !linux

package flowcache

func hugePages[T any]([]T) {}

func release[T any]([]T) {}

func populate([]uint64) {}
