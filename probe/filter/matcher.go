package filter

import "github.com/caprock-net/caprock/probe/dissect"

// Matcher filters frames here, of whatever link types they are. It is for one goroutine.
type Matcher struct {
	filter   *Filter
	link     dissect.LinkType // of program
	program  Program
	compiled map[dissect.LinkType]Program
}

// NewMatcher returns a Matcher.
func NewMatcher(f *Filter) *Matcher {
	return &Matcher{filter: f, compiled: map[dissect.LinkType]Program{}}
}

// Match reports whether the filter takes a frame, of which wireLen bytes were on the wire. The error is that of Compile,
// when the filter can't be compiled for this link type.
func (m *Matcher) Match(link dissect.LinkType, frame []byte, wireLen int) (bool, error) {
	if m.program == nil || link != m.link {
		p := m.compiled[link]
		if p == nil {
			var err error
			if p, err = m.filter.Compile(Target{Link: link, SnapLen: 1}); err != nil {
				return false, err
			}
			m.compiled[link] = p
		}
		m.link, m.program = link, p
	}
	return m.program.Run(frame, wireLen) != 0, nil
}
