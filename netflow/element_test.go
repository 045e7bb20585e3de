package netflow_test

import (
	"strings"
	"testing"

	"github.com/caprock-net/caprock/netflow"
)

func TestElements(t *testing.T) {
	tests := []struct {
		pen    uint32
		id     uint16
		name   string
		typ    string
		length uint16
	}{
		{0, 1, "octetDeltaCount", "unsigned64", 8},
		{0, 8, "sourceIPv4Address", "ipv4Address", 4},
		{0, 28, "destinationIPv6Address", "ipv6Address", 16},
		{0, 56, "sourceMacAddress", "macAddress", 6},
		{0, 82, "interfaceName", "string", 65535},
		{0, 150, "flowStartSeconds", "dateTimeSeconds", 4},
		{0, 154, "flowStartMicroseconds", "dateTimeMicroseconds", 8},
		{0, 236, "VRFname", "string", 65535},
		{0, 293, "subTemplateMultiList", "subTemplateMultiList", 65535},
		{0, 311, "samplingProbability", "float64", 8},
		{0, 467, "natThresholdEvent", "unsigned32", 4},
		{29305, 1, "reverseOctetDeltaCount", "unsigned64", 8},
		{29305, 6, "reverseTcpControlBits", "unsigned16", 2},
		{29305, 236, "reverseVRFname", "string", 65535},
	}
	for _, tt := range tests {
		e, ok := netflow.ElementByID(tt.pen, tt.id)
		if !ok || e.Name != tt.name || e.Type.String() != tt.typ || e.Type.Length() != tt.length || e.PEN != tt.pen {
			t.Errorf("%d/%d is %+v (%v, %d bytes), %v; want %s, %s, %d bytes",
				tt.pen, tt.id, e, e.Type, e.Type.Length(), ok, tt.name, tt.typ, tt.length)
		}
		for _, name := range []string{tt.name, strings.ToUpper(tt.name)} {
			if got, ok := netflow.ElementByName(name); !ok || got != e {
				t.Errorf("%s is %+v, %v, want %+v", name, got, ok, e)
			}
		}
	}
}

func TestElementsThatDoNotExist(t *testing.T) {
	for _, x := range []struct {
		pen uint32
		id  uint16
	}{{0, 0}, {0, 32767}, {0, 38}, {29305, 239}, {29305, 145}, {29305, 38}, {9, 1}} {
		if e, ok := netflow.ElementByID(x.pen, x.id); ok {
			t.Errorf("%d/%d is %+v, want none", x.pen, x.id, e)
		}
	}
	for _, name := range []string{"", "reverse", "reverseX", "octetDeltaCounts", "reverseBiflowDirection"} {
		if e, ok := netflow.ElementByName(name); ok {
			t.Errorf("%q is %+v, want none", name, e)
		}
	}
}
