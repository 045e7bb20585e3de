package parquet

import "github.com/caprock-net/caprock/netflow"

// Physical types, encodings, codecs and page types of the Parquet format, as numbers in the metadata.
const (
	typeInt32     = 1
	typeInt64     = 2
	typeByteArray = 6

	encodingPlain             = 0
	encodingRLE               = 3
	encodingDeltaBinaryPacked = 5
	encodingRLEDictionary     = 8

	codecZstd = 6 // of every chunk

	pageData       = 0
	pageDictionary = 2

	repetitionRequired = 0
)

// Converted types, which older readers use, and members of the LogicalType union, which newer ones do.
const (
	convertedUTF8            = 0
	convertedTimestampMicros = 10
	convertedUint8           = 11
	convertedUint16          = 12
	convertedUint32          = 13
	convertedUint64          = 14

	logicalString    = 1
	logicalTimestamp = 8
	logicalInteger   = 10
)

// columnType is how a kind of column stands in a file.
type columnType struct {
	physical  byte
	converted int32
	bits      int8   // of integers
	largest   uint64 // of integers
}

var columnTypes = [...]columnType{
	netflow.KindTime:   {physical: typeInt64, converted: convertedTimestampMicros, largest: 1<<64 - 1},
	netflow.KindAddr:   {physical: typeByteArray, converted: convertedUTF8},
	netflow.KindMAC:    {physical: typeByteArray, converted: convertedUTF8},
	netflow.KindUint8:  {physical: typeInt32, converted: convertedUint8, bits: 8, largest: 1<<8 - 1},
	netflow.KindUint16: {physical: typeInt32, converted: convertedUint16, bits: 16, largest: 1<<16 - 1},
	netflow.KindUint32: {physical: typeInt32, converted: convertedUint32, bits: 32, largest: 1<<32 - 1},
	netflow.KindUint64: {physical: typeInt64, converted: convertedUint64, bits: 64, largest: 1<<64 - 1},
}

// width returns the bytes of a value in a page, 0 for text.
func (t columnType) width() int {
	switch t.physical {
	case typeInt32:
		return 4
	case typeInt64:
		return 8
	}
	return 0
}

// appendSchema writes the list of schema elements: the root and a leaf for each column.
func appendSchema(w *thriftWriter, id int16) {
	w.list(id, thriftStruct, netflow.NumColumns+1)
	w.open()
	w.str(4, "flow")
	w.i32(5, int32(netflow.NumColumns))
	w.close()
	for _, c := range netflow.Columns() {
		t := columnTypes[c.Kind()]
		w.open()
		w.i32(1, int32(t.physical))
		w.i32(3, repetitionRequired)
		w.str(4, c.String())
		w.i32(6, t.converted)
		w.structure(10)
		switch {
		case t.physical == typeByteArray:
			w.empty(logicalString)
		case c.Kind() == netflow.KindTime:
			w.structure(logicalTimestamp)
			w.bool(1, true) // adjusted to UTC
			w.structure(2)  // unit
			w.empty(2)      // microseconds
			w.close()
			w.close()
		default:
			w.structure(logicalInteger)
			w.i8(1, t.bits)
			w.bool(2, false) // signed
			w.close()
		}
		w.close()
		w.close()
	}
}

// schemaColumn is a leaf of a file's schema.
type schemaColumn struct {
	column netflow.Column
	known  bool
}

// readSchema reads what appendSchema writes, by this or another version of the program: columns of unknown names are
// kept as places without a meaning.
func readSchema(r *thriftReader) ([]schemaColumn, error) {
	n := r.list(thriftStruct)
	var columns []schemaColumn
	var seen netflow.ColumnSet
	for i := 0; i < n && !r.bad; i++ {
		e := readSchemaElement(r)
		if i == 0 {
			if e.children != n-1 {
				return nil, corrupt("schema of %d columns has %d", e.children, n-1)
			}
			continue
		}
		if e.children != 0 || e.repetition != repetitionRequired {
			return nil, corrupt("column %q is nested, optional or repeated", e.name)
		}
		c, known := netflow.ColumnByName(e.name)
		if known {
			t := columnTypes[c.Kind()]
			if e.physical != int32(t.physical) || e.converted != t.converted {
				return nil, corrupt("column %q is of type %d (%d), not %d (%d)", e.name, e.physical, e.converted, t.physical, t.converted)
			}
			if seen.Has(c) {
				return nil, corrupt("column %q twice", e.name)
			}
			seen |= netflow.SetOf(c)
		}
		columns = append(columns, schemaColumn{c, known})
	}
	return columns, nil
}

type schemaElement struct {
	name                            string
	physical, repetition, converted int32
	children                        int
}

func readSchemaElement(r *thriftReader) schemaElement {
	e := schemaElement{physical: -1, converted: -1}
	for id, typ := range r.fields() {
		switch {
		case id == 1 && r.expect(typ, thriftI32):
			e.physical = r.int32()
		case id == 3 && r.expect(typ, thriftI32):
			e.repetition = r.int32()
		case id == 4 && r.expect(typ, thriftBinary):
			e.name = string(r.bytes())
		case id == 5 && r.expect(typ, thriftI32):
			e.children = int(r.int32())
		case id == 6 && r.expect(typ, thriftI32):
			e.converted = r.int32()
		default:
			r.skip(typ)
		}
	}
	return e
}

// sameSchema reports whether a file's columns are exactly those that this program writes.
func sameSchema(columns []schemaColumn) bool {
	if len(columns) != netflow.NumColumns {
		return false
	}
	for i, c := range columns {
		if !c.known || int(c.column) != i {
			return false
		}
	}
	return true
}
