package probe

import (
	"errors"
	"fmt"
	"strings"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/netflow/fields"
	"github.com/caprock-net/caprock/probe/dissect"
	"github.com/caprock-net/caprock/probe/export"
	"github.com/caprock-net/caprock/probe/flowcache"
)

// Columns that a flow has only when the cache is told to keep them.
const (
	detailColumns netflow.ColumnSet = 1<<netflow.CustomerVLAN | 1<<netflow.MinTTL | 1<<netflow.MaxTTL | 1<<netflow.MinLength | 1<<netflow.MaxLength |
		1<<netflow.FragmentFlags | 1<<netflow.MPLSLabel | 1<<netflow.TunnelID
	outerColumns   netflow.ColumnSet = 1<<netflow.TunnelSrcAddr | 1<<netflow.TunnelDstAddr | 1<<netflow.TunnelProto | 1<<netflow.TunnelType
	tcpColumns     netflow.ColumnSet = 1<<netflow.TCPRTT | 1<<netflow.TCPRetransmits | 1<<netflow.ReverseTCPRetransmits
	reverseColumns netflow.ColumnSet = 1<<netflow.ReverseBytes | 1<<netflow.ReversePackets | 1<<netflow.ReverseTCPFlags | 1<<netflow.ReverseTCPRetransmits
)

// exportFields is Export.Fields with what two of the names stand for here: the group all for what this probe has been told
// to measure too, and tunnel_id for the element of the tunnels that are looked into.
func (c *Config) exportFields() []string {
	tunnel, err := c.tunnelField()
	var names []string
	for _, name := range c.Export.Fields {
		lower := strings.ToLower(strings.TrimSpace(name))
		if lower == netflow.TunnelID.String() && err == nil {
			name = tunnel
		}
		names = append(names, name)
		if lower != fields.All {
			continue
		}
		if err == nil {
			names = append(names, tunnel)
		}
		if c.entersIP() && c.Export.Protocol != "v9" { // which cannot tell it
			for _, column := range []netflow.Column{netflow.TunnelSrcAddr, netflow.TunnelDstAddr, netflow.TunnelProto, netflow.TunnelType} {
				names = append(names, column.String())
			}
		}
		if c.Cache.TCPMetrics {
			names = append(names, netflow.TCPRetransmits.String())
			if c.Export.Protocol != "v9" { // which cannot tell it
				names = append(names, netflow.TCPRTT.String())
			}
		}
	}
	return names
}

// tunnelField is the element for the number of the tunnels that are looked into. A flow has the number, and not the kind
// of its tunnel: so there is none when kinds with different numbers are looked into.
func (c *Config) tunnelField() (string, error) {
	const segments = dissect.VXLAN | dissect.Geneve
	switch numbers := c.Decap & (segments | dissect.GTPU); {
	case numbers == 0:
		return "", errors.New("fields: the number of a tunnel is known of vxlan and geneve, or of gtpu, if these are looked into (decap)")
	case numbers&^segments == 0:
		return "layer2SegmentId", nil
	case numbers == dissect.GTPU:
		return "gtpuTEid", nil
	default:
		return "", fmt.Errorf("fields: the number of a tunnel may be of any of %v: look into (decap) vxlan and geneve, or gtpu without those", numbers)
	}
}

// entersIP reports whether tunnels are looked into that IP carries.
func (c *Config) entersIP() bool { return c.Decap&^dissect.PPPoE != 0 }

// cacheConfig is Cache with what the fields to export need.
func (c *Config) cacheConfig() flowcache.Config {
	cache := c.Cache
	if len(c.Export.Fields) > 0 {
		columns, _ := export.FieldColumns(c.exportFields()) // an error is Validate's
		cache.Details = cache.Details || columns&detailColumns != 0
		cache.Outers = cache.Outers || columns&outerColumns != 0
		cache.TCPMetrics = cache.TCPMetrics || columns&tcpColumns != 0
	}
	return cache
}

// validateFields complains of fields that stay empty because of other settings; of those that do not exist the exporter
// does.
func (c *Config) validateFields() error {
	if len(c.Export.Fields) == 0 {
		return nil
	}
	list, err := fields.Parse(netflow.VersionIPFIX, c.exportFields())
	if err != nil {
		return nil
	}
	var errs []error
	if list.Columns()&reverseColumns != 0 && !c.Cache.Biflow {
		errs = append(errs, errors.New("fields: those of the other direction are of two-way flows (biflow)"))
	}
	if list.Columns()&outerColumns != 0 && !c.entersIP() {
		errs = append(errs, errors.New("fields: what is around a tunnel is known if tunnels are looked into (decap)"))
	}
	tunnel, err := c.tunnelField()
	for _, name := range list.Names() {
		switch {
		case name != "layer2SegmentId" && name != "gtpuTEid" || name == tunnel:
		case err != nil:
			errs = append(errs, err)
		default:
			errs = append(errs, fmt.Errorf("fields: %s: the tunnels that are looked into (decap %v) have %s", name, c.Decap, tunnel))
		}
	}
	return errors.Join(errs...)
}
