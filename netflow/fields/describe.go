package fields

import "github.com/caprock-net/caprock/netflow"

// Description is what a person wants to know of an element.
type Description struct {
	Name    string
	ID      uint16 // of the element, in IPFIX with PEN
	PEN     uint32
	V9      uint16 // field type in NetFlow v9; 0: it has none
	IPFIX   bool   // IPFIX has it
	Bytes   int    // in IPFIX, or in NetFlow v9 if only that has it
	Column  string // the column that it is made of, if it is the one that the column's name stands for, else ""
	Default bool   // it is in the group default
	Meaning string
}

// Describe lists the elements that Parse knows.
func Describe() []Description {
	const v9, ipfix = netflow.VersionV9, netflow.VersionIPFIX
	list := make([]Description, len(table))
	for i := range table {
		f := &table[i]
		d := Description{Name: f.element(), ID: f.id, PEN: f.pen, IPFIX: f.carried(ipfix), Bytes: int(f.size), Meaning: f.about}
		if f.carried(v9) {
			d.V9 = f.specifier(v9).ID
		}
		for version, ids := range map[uint8][]uint16{v9: defaultV9, ipfix: defaultIPFIX} {
			if f.carried(version) && byColumn(f.column, version).in(0) == f.in(0) {
				d.Column = f.column.String()
			}
			for _, id := range ids {
				d.Default = d.Default || f.pen == netflow.PENIana && f.in(0).id == id && f.carried(version)
			}
		}
		list[i] = d
	}
	return list
}
