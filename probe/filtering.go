package probe

import (
	"fmt"

	"github.com/caprock-net/caprock/probe/capture"
)

// wants reports whether a frame of a file passes the filter, and counts it when it does not. On interfaces the kernel
// filters: other frames do not come here. The error ends the source: its frames are of a kind that the filter isn't for.
func (m *meter) wants(s *sourceState, f *capture.Frame) (bool, error) {
	ok, err := m.matcher.Match(f.Link, f.Data, f.WireLen)
	if err != nil {
		return false, fmt.Errorf("%s: %w", s.name, err)
	}
	if !ok {
		m.see(f)
		m.pending.filtered++
		if m.pending.frames == commitFrames {
			m.settle(s)
		}
	}
	return ok, nil
}
