// Package parquet writes and reads the files at rest: Parquet that every engine reads, and that stays valid Parquet after
// each append. FORMAT.md in the folder above lists the columns and draws the file.
//
// EncodeRowGroup (or an Encoder, which keeps its memory) turns Batches into the bytes of one row group. An Appender knows
// the state of one file: each Append writes a row group and a footer for all row groups so far in one write and syncs;
// the footer before stays behind as dead bytes. Open reads a file, also one with a torn tail, and shows each row group as a
// column.Chunk. Rewrite copies a file without dead bytes and with fewer, larger row groups.
//
// The page encoder, the metadata (Thrift's compact protocol) and the reader are our own. Building a dictionary over the
// 16 bytes of an address and formatting each distinct one once makes addresses as text affordable; and a reader that
// believes no length before it has compared it with the bytes there are is what a file from elsewhere asks for:
// parquet-go's own metadata decoder allocates whatever the header of a list claims. Tests read every file back with
// parquet-go.
//
// Only files written by this package are read: others lack the checksum of the footer and may use encodings that are not
// ours. Different row groups may be read by different goroutines at the same time; an Encoder and an Appender belong to
// one goroutine at a time.
package parquet

import (
	"errors"
	"io"
)

const (
	// Version is the file version written, key "caprock.version" of the footer's key-value metadata. A reader refuses a
	// larger one. A new column does not change it.
	Version = 1
	// MaxRows is the largest number of rows in a row group.
	MaxRows = 1 << 20

	magic      = "PAR1"
	maxFooter  = 16 << 20
	maxChunk   = 128 << 20 // bytes of a column chunk, compressed or not
	maxBloom   = 4 << 20
	createdBy  = "caprock version 1"
	keyVersion = "caprock.version"
	keyFooter  = "caprock.footer_crc32c"
)

var (
	// ErrNotParquet means that the file does not begin as a Parquet file does.
	ErrNotParquet = errors.New("not a Parquet file")
	// ErrForeign means that the file is Parquet, but that another program wrote it.
	ErrForeign = errors.New("a Parquet file of another program")
	// ErrVersion means that a newer program wrote the file in a way that this one cannot read.
	ErrVersion = errors.New("flow file of a newer version")
	// ErrNoFooter means that no complete footer was found: nothing can be read.
	ErrNoFooter = errors.New("no complete footer")
	// ErrSchema means that the file has other columns than this program writes: it can be read but not appended to.
	ErrSchema = errors.New("file has other columns than this program writes")
	// ErrCorrupt means that bytes are not what the writer wrote.
	ErrCorrupt = errors.New("corrupt file")
)

// Target is a file that can be appended to. An *os.File opened for reading and writing (without O_APPEND) is one.
type Target interface {
	io.ReaderAt
	io.WriterAt
	Truncate(size int64) error
	Sync() error
}
