package capture_test

import (
	"net"
	"testing"
	"time"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/probe/capture"
)

func TestNames(t *testing.T) {
	want, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	got := map[uint32]string{}
	for _, i := range capture.Names() {
		got[i.Index] = i.Name
	}
	for _, i := range want {
		if got[uint32(i.Index)] != i.Name {
			t.Errorf("interface %d is %q, want %q", i.Index, got[uint32(i.Index)], i.Name)
		}
	}
}

func TestBootTime(t *testing.T) {
	now := netflow.TimestampOf(time.Now())
	a, b := capture.BootTime(), capture.BootTime()
	if a <= 0 || a >= now || a-b > 1e6 || b-a > 1e6 {
		t.Errorf("booted at %v and %v", a.Time(), b.Time())
	}
}
