package export

import (
	"fmt"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/netflow/fields"
)

// FieldColumns returns the columns of a flow that fields chosen by name are made of (Config.Fields), those of the other
// direction not among them that two-way flows add by themselves. A name is that of an information element, as in
// minimumTTL, of a column, as in min_ttl, or of a group: default or all.
func FieldColumns(names []string) (netflow.ColumnSet, error) {
	list, err := fields.Parse(netflow.VersionIPFIX, names)
	if err != nil {
		if list, errV9 := fields.Parse(netflow.VersionV9, names); errV9 == nil {
			return list.Columns(), nil
		}
		return 0, err
	}
	return list.Columns(), nil
}

// fieldList reads the fields of a configuration; nil: the usual ones.
func (c *Config) fieldList() (*fields.List, error) {
	if len(c.Fields) == 0 {
		return nil, nil
	}
	switch version := versions[c.Protocol]; version {
	case netflow.VersionIPFIX, netflow.VersionV9:
		list, err := fields.Parse(version, c.Fields)
		if err == nil && c.MTU < list.MinBytes() {
			err = fmt.Errorf("mtu %d: for these fields at least %d bytes are needed", c.MTU, list.MinBytes())
		}
		return list, err
	case netflow.VersionV5, netflow.VersionV1:
		return nil, fmt.Errorf("fields: those of NetFlow %s are fixed; v9 and ipfix have templates", c.Protocol)
	}
	return nil, nil // another protocol is complained of elsewhere
}
