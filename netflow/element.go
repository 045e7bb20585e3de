package netflow

import (
	"cmp"
	"slices"
	"strings"
	"sync"
)

// ElementType is the abstract data type of an information element, RFC 7012 section 3.1.
type ElementType uint8

// The types that elements of the table have. TypeUnknown is that of an element which is not in the table.
const (
	TypeUnknown ElementType = iota
	TypeUint8
	TypeUint16
	TypeUint32
	TypeUint64
	TypeFloat64
	TypeBoolean
	TypeMAC
	TypeOctets
	TypeString
	TypeSeconds
	TypeMilliseconds
	TypeMicroseconds
	TypeNanoseconds
	TypeIPv4
	TypeIPv6
	TypeBasicList
	TypeSubTemplateList
	TypeSubTemplateMultiList
)

var elementTypes = [...]struct {
	name   string
	length uint16
}{
	TypeUnknown:              {"unknown", VariableLength},
	TypeUint8:                {"unsigned8", 1},
	TypeUint16:               {"unsigned16", 2},
	TypeUint32:               {"unsigned32", 4},
	TypeUint64:               {"unsigned64", 8},
	TypeFloat64:              {"float64", 8},
	TypeBoolean:              {"boolean", 1},
	TypeMAC:                  {"macAddress", 6},
	TypeOctets:               {"octetArray", VariableLength},
	TypeString:               {"string", VariableLength},
	TypeSeconds:              {"dateTimeSeconds", 4},
	TypeMilliseconds:         {"dateTimeMilliseconds", 8},
	TypeMicroseconds:         {"dateTimeMicroseconds", 8},
	TypeNanoseconds:          {"dateTimeNanoseconds", 8},
	TypeIPv4:                 {"ipv4Address", 4},
	TypeIPv6:                 {"ipv6Address", 16},
	TypeBasicList:            {"basicList", VariableLength},
	TypeSubTemplateList:      {"subTemplateList", VariableLength},
	TypeSubTemplateMultiList: {"subTemplateMultiList", VariableLength},
}

// String returns the type's name as RFC 7012 writes it.
func (t ElementType) String() string {
	if int(t) >= len(elementTypes) {
		t = TypeUnknown
	}
	return elementTypes[t].name
}

// Length returns the bytes of a value at full size, or VariableLength.
func (t ElementType) Length() uint16 {
	if int(t) >= len(elementTypes) {
		t = TypeUnknown
	}
	return elementTypes[t].length
}

// VariableLength as the length of a field says that each record carries its own, RFC 7011 section 7.
const VariableLength = 65535

// Private enterprise numbers that qualify an element's number.
const (
	PENIana    = 0     // the elements of IANA's registry
	PENReverse = 29305 // the same elements, for the reverse direction of a biflow: RFC 5103 section 6.1
	PENVMware  = 6876  // VMware's, of which some tell the header around packets in a tunnel, for which IANA's registry has none
	PENNtop    = 35632 // ntop's, of which some tell how TCP fares, for which IANA's registry has none
	PENFlowmon = 39499 // Flowmon's, likewise
)

// Element is an information element: what a field of a template means.
type Element struct {
	ID   uint16 // without the enterprise bit
	PEN  uint32
	Name string
	Type ElementType
}

// notReversible lists the elements of the table that have no reverse direction: identifiers, the configuration and the
// statistics of exporter and processes, padding, and the direction itself (RFC 5103 section 6.1).
var notReversible = []uint16{
	40, 41, 42, 130, 131, 137, 145, 148, 149, 163, 164, 165, 166, 167, 168, 173, 210, 211, 212, 213, 214, 215, 216, 217, 239,
}

// ElementByID finds an element of IANA's registry (PENIana) or its reverse (PENReverse). ok is false for an element
// that is not in the table.
func ElementByID(pen uint32, id uint16) (e Element, ok bool) {
	i, ok := slices.BinarySearchFunc(elementTable[:], id, func(e Element, id uint16) int { return cmp.Compare(e.ID, id) })
	if !ok {
		return Element{}, false
	}
	switch e = elementTable[i]; {
	case pen == PENIana:
		return e, true
	case pen == PENReverse && !slices.Contains(notReversible, id):
		return e.reverse(), true
	}
	return Element{}, false
}

// ElementByName finds an element by its name in IANA's registry, capitals aside, or a reverse element by that name with
// "reverse" in front of it, as in reverseOctetDeltaCount.
func ElementByName(name string) (e Element, ok bool) {
	byName, name := elementsByName(), strings.ToLower(name)
	if i, ok := byName[name]; ok {
		return elementTable[i], true
	}
	forward, reverse := strings.CutPrefix(name, "reverse")
	i, ok := byName[forward]
	if !ok || !reverse {
		return Element{}, false
	}
	return ElementByID(PENReverse, elementTable[i].ID)
}

// elementsByName has the places in the table of names in small letters.
var elementsByName = sync.OnceValue(func() map[string]int {
	m := make(map[string]int, len(elementTable))
	for i := range elementTable {
		m[strings.ToLower(elementTable[i].Name)] = i
	}
	return m
})

func (e Element) reverse() Element {
	e.PEN = PENReverse
	e.Name = "reverse" + strings.ToUpper(e.Name[:1]) + e.Name[1:]
	return e
}
