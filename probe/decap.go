package probe

import (
	"github.com/caprock-net/caprock/probe/capture"
	"github.com/caprock-net/caprock/probe/dissect"
	"github.com/caprock-net/caprock/probe/fragment"
)

// lookInto looks into the tunnels that are to be followed, and gives later fragments the ports of their first one, of
// the outer packet and of the one metered.
func (m *meter) lookInto(f *capture.Frame, verdict dissect.Verdict, p *dissect.Packet) dissect.Verdict {
	if verdict == dissect.OK {
		m.join(f, p)
	}
	if m.decap == 0 {
		return verdict
	}
	var outer *dissect.Outer
	if m.outers != nil {
		outer = &m.outers[m.n]
		m.batch[m.n].Outer = 0
	}
	verdict, way := m.decap.Enter(f.Data, f.WireLen, verdict, p, outer)
	if way&dissect.Entered != 0 {
		if outer != nil {
			m.batch[m.n].Outer = uint32(m.n) + 1
		}
		m.pending.tunnelled++
		m.join(f, p)
	}
	if way&dissect.Stopped != 0 {
		m.pending.notFollowed++
	}
	return verdict
}

// join counts the later fragments for which no first one is known.
func (m *meter) join(f *capture.Frame, p *dissect.Packet) {
	if p.Fragment != dissect.Whole && m.fragments != nil && !m.fragments.Join(f.Time, f.Interface, p) {
		m.pending.portless++
	}
}

// newFragments is the table of a meter, or nil.
func (c *Config) newFragments() *fragment.Table {
	if !c.FragmentPorts {
		return nil
	}
	return fragment.New()
}
