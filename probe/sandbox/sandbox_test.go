package sandbox_test

import (
	"testing"

	"github.com/caprock-net/caprock/probe/sandbox"
)

func TestValidate(t *testing.T) {
	for _, c := range []sandbox.Config{{}, {User: "a"}, {User: "a:b"}, {User: "1:2"}, {Chroot: "/x"}} {
		if err := c.Validate(); err != nil {
			t.Errorf("%+v: %v", c, err)
		}
	}
	for _, c := range []sandbox.Config{{User: ":b"}, {User: "a:"}, {User: ":"}, {Chroot: "x"}} {
		if c.Validate() == nil {
			t.Errorf("%+v: no complaint", c)
		}
	}
}
