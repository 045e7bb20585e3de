package flowcache

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

const hugePage = 2 << 20

// hugePages asks for large pages behind a table that is accessed at random: a flow costs a miss of the processor's page
// table less, and a page fault in 512. Memory is touched as before, in larger steps. It is advice, and may fail.
func hugePages[T any](table []T) {
	if b := pages(table, hugePage); len(b) > 0 {
		_ = unix.Madvise(b, unix.MADV_HUGEPAGE)
	}
}

// populate has the system give a new table its memory. Looking for room reads a page before it is written, and a page that
// has been read is one of zeros that all share: to replace it interrupts every processor.
func populate(slots []uint64) {
	const page = 4 << 10 / 8
	for i := 0; i < len(slots); i += page {
		slots[i] = 0
	}
}

// release gives back the memory of a table that is not used any more, without waiting for the garbage collector: it may
// not come for hours, for a Cache allocates nothing else. The table is all zeros then.
func release[T any](table []T) {
	if b := pages(table, 4<<10); len(b) > 0 {
		_ = unix.Madvise(b, unix.MADV_DONTNEED)
	}
}

// pages returns the memory of a table, from the first multiple of size to the last.
func pages[T any](table []T, size uintptr) []byte {
	all := uintptr(len(table)) * unsafe.Sizeof(table[0])
	first := uintptr(unsafe.Pointer(&table[0]))
	from, to := (first+size-1)&^(size-1), (first+all)&^(size-1)
	if from >= to {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(&table[0])), all)[from-first : to-first]
}
