package flowcache

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

const hugePage = 2 << 20

// hugePages asks for large pages behind a table that is accessed at random: a flow costs a miss of the processor's page
// table less, and a page fault in 512. Memory is touched as before, in larger steps. It is advice, and may fail.
func hugePages[T any](table []T) {
	if size := uintptr(len(table)) * unsafe.Sizeof(table[0]); size >= 2*hugePage {
		from := uintptr(unsafe.Pointer(&table[0]))
		skip := (from+hugePage-1)&^(hugePage-1) - from
		b := unsafe.Slice((*byte)(unsafe.Pointer(&table[0])), size)
		_ = unix.Madvise(b[skip:(size-skip)&^(hugePage-1)+skip], unix.MADV_HUGEPAGE)
	}
}
