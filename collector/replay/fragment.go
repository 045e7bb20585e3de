package replay

// Bounds of the reassembler: at most so many unfinished datagrams, the oldest makes way, and none longer than IP allows.
const (
	maxPending = 64
	maxPayload = 1<<16 - 1
)

// reassembler puts fragmented datagrams together. Datagrams with overlapping fragments are given up (RFC 5722), but an
// exact repetition is ignored.
type reassembler struct {
	pending []*pending // oldest first
}

type pending struct {
	key   fragmentKey
	parts []span // in the order of arrival
	have  int
	size  int // of the whole; 0: the last fragment has not come
	buf   []byte
}

type span struct{ from, to int }

// add takes a fragment and returns the payload of the datagram that it completes, else nil. Nothing aliases the fragment.
func (r *reassembler) add(p *packet) []byte {
	d := r.find(p.key)
	part := span{p.offset, p.offset + len(p.payload)}
	if part.to > maxPayload || part.to == part.from || (p.more && len(p.payload)%8 != 0) {
		return nil
	}
	for _, s := range d.parts {
		if s == part {
			return nil
		}
		if part.from < s.to && s.from < part.to {
			r.drop(d)
			return nil
		}
	}
	if len(d.buf) < part.to {
		d.buf = append(d.buf, make([]byte, part.to-len(d.buf))...)
	}
	copy(d.buf[part.from:], p.payload)
	d.parts = append(d.parts, part)
	d.have += len(p.payload)
	if !p.more {
		d.size = part.to
	}
	switch {
	case d.size == 0 || d.have < d.size:
		return nil
	case len(d.buf) != d.size: // a fragment lies behind the last one
		r.drop(d)
		return nil
	}
	r.drop(d)
	return d.buf
}

func (r *reassembler) find(key fragmentKey) *pending {
	for _, d := range r.pending {
		if d.key == key {
			return d
		}
	}
	if len(r.pending) == maxPending {
		copy(r.pending, r.pending[1:])
		r.pending = r.pending[:maxPending-1]
	}
	d := &pending{key: key}
	r.pending = append(r.pending, d)
	return d
}

func (r *reassembler) drop(gone *pending) {
	for i, d := range r.pending {
		if d == gone {
			r.pending = append(r.pending[:i], r.pending[i+1:]...)
			return
		}
	}
}
