//go:build !linux

package export

// many is what the system wants to know of several datagrams: here it takes one at a time.
type many struct{}

// WriteMany sends datagrams in their order, and returns how many went before one failed, and its error, as Write's.
func (d *datagrams) WriteMany(ps [][]byte) (int, error) {
	for i, p := range ps {
		if _, err := d.Write(p); err != nil {
			return i, err
		}
	}
	return len(ps), nil
}
