package main

import (
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/caprock-net/caprock/cmd/internal/flowtext"
	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/netflow/fields"
	"github.com/caprock-net/caprock/probe"
)

// registerFields makes the flag that chooses what the templates are made of.
func registerFields(f *pflag.FlagSet, c *probe.Config) {
	f.StringSliceVar(&c.Export.Fields, "fields", nil,
		"ipfix, v9: send these `FIELDS` of each flow, in this order: elements, columns, default, all; help: list them and exit")
}

func completeFields(cmd *cobra.Command, c *probe.Config) {
	_ = cmd.RegisterFlagCompletionFunc("fields", func(_ *cobra.Command, _ []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
		version := uint8(netflow.VersionIPFIX)
		if c.Export.Protocol == "v9" {
			version = netflow.VersionV9
		}
		before := typed[:strings.LastIndexByte(typed, ',')+1]
		given := strings.Split(before, ",")
		var names []cobra.Completion
		for _, name := range fields.Names(version) {
			if !slices.Contains(given, name) {
				names = append(names, before+name)
			}
		}
		if before == "" {
			names = append(names, "help")
		}
		return names, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	})
}

// asksForFields reports whether the list of fields is wanted, and nothing else.
func asksForFields(c *probe.Config) bool {
	return len(c.Export.Fields) == 1 && strings.EqualFold(strings.TrimSpace(c.Export.Fields[0]), "help")
}

// printFields lists the elements that templates can be made of.
func printFields(w io.Writer) error {
	const l, r = flowtext.Left, flowtext.Right
	t := flowtext.NewTable(w, l, l, r, r, r, l, l)
	t.Row("ELEMENT", "COLUMN", "IPFIX", "V9", "BYTES", "GROUP", "MEANING")
	for _, d := range fields.Describe() {
		ipfix, v9, group := "-", "-", ""
		if d.IPFIX {
			ipfix = strconv.Itoa(int(d.ID))
			if d.PEN != netflow.PENIana {
				ipfix = strconv.Itoa(int(d.PEN)) + "/" + ipfix
			}
		}
		if d.V9 != 0 {
			v9 = strconv.Itoa(int(d.V9))
		}
		if d.Default {
			group = fields.Default
		}
		t.Row(d.Name, d.Column, ipfix, v9, strconv.Itoa(d.Bytes), group, d.Meaning)
	}
	return t.Flush()
}
