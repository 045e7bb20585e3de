package main

import (
	"fmt"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/caprock-net/caprock/cmd/internal/flowtext"
	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/storage/query"
)

// table writes a result for people.
func (o *output) table(r *query.Result) error {
	if len(r.Query.By) == 0 {
		return o.totals(r)
	}
	return o.groups(r)
}

// totals writes one counter a line, exact and rounded.
func (o *output) totals(r *query.Result) error {
	c := &r.Total
	clock := flowtext.NewClock(o.zone)
	t := flowtext.NewTable(o.w, flowtext.Left, flowtext.Right, flowtext.Left)
	count := func(name string, n uint64) {
		rounded := ""
		if n >= 100_000 {
			rounded = string(flowtext.AppendCount(nil, float64(n)))
		}
		t.Row(name, strconv.FormatUint(n, 10), rounded)
	}
	size := func(name string, n uint64) {
		rounded := ""
		if n >= 1000 {
			rounded = string(flowtext.AppendBytes(nil, float64(n)))
		}
		t.Row(name, strconv.FormatUint(n, 10), rounded)
	}
	count("flows", c.Flows)
	count("packets", c.Packets)
	size("bytes", c.Bytes)
	if c.ReversePackets > 0 || c.ReverseBytes > 0 {
		count("reverse packets", c.ReversePackets)
		size("reverse bytes", c.ReverseBytes)
	}
	if c.First != 0 {
		t.Row("first", string(clock.AppendMillis(nil, c.First)), "")
	}
	if c.Last != 0 {
		t.Row("last", string(clock.AppendMillis(nil, c.Last)), "")
	}
	if d := c.Duration(); d > 0 {
		t.Row("duration", d.Round(time.Millisecond).String(), "")
		t.Row("average", string(flowtext.AppendBits(nil, c.BitsPerSecond())), "")
		t.Row("", string(flowtext.AppendCount(nil, c.PacketsPerSecond()))+" packet/s", "")
	}
	if c.Packets > 0 {
		t.Row("", strconv.FormatFloat(c.BytesPerPacket(), 'f', 0, 64)+" B/packet", "")
	}
	return t.Flush()
}

// statColumn is one column of a table of groups.
type statColumn struct {
	title string
	align flowtext.Align
	cell  func(dst []byte, c *query.Counters) []byte
	// drop is when a column goes if the terminal is narrow: 1 first; 0 never.
	drop int
}

// groups writes the groups with their shares of the total, then what was left out, then the total.
func (o *output) groups(r *query.Result) error {
	clock := flowtext.NewClock(o.zone)
	columns := o.columns(r, clock)
	keys := make([][]string, r.Len())
	counters := make([]query.Counters, r.Len())
	for i := range keys {
		g := r.Group(i)
		counters[i] = g.Counters
		for _, v := range g.Key {
			keys[i] = append(keys[i], keyText(v, clock))
		}
	}
	columns = o.fit(r, keys, counters, columns)

	aligns := []flowtext.Align{flowtext.Right}
	titles := []string{"#"}
	for _, f := range r.Query.By {
		align := flowtext.Left
		if f.Kind() == query.KindNumber && f.Column() != netflow.Proto {
			align = flowtext.Right
		}
		aligns, titles = append(aligns, align), append(titles, f.String())
	}
	for _, c := range columns {
		aligns, titles = append(aligns, c.align), append(titles, c.title)
	}
	t := flowtext.NewTable(o.w, aligns...)
	t.Row(titles...)
	line := func(rank string, key []string, c *query.Counters) {
		t.Row(rank)
		t.Row(key...)
		for range len(r.Query.By) - len(key) {
			t.Row("")
		}
		for _, column := range columns {
			t.CellFunc(func(dst []byte) []byte { return column.cell(dst, c) })
		}
	}
	for i := range keys {
		line(strconv.Itoa(i+1), keys[i], &counters[i])
	}
	if others := o.others(r, counters); others != nil {
		line("", []string{fmt.Sprintf("%d others", r.Distinct-r.Len())}, others)
	}
	line("", []string{"total"}, &r.Total)
	return t.Flush()
}

// others sums what is not shown. With two-sided fields sums of groups say nothing of the total.
func (o *output) others(r *query.Result, shown []query.Counters) *query.Counters {
	if r.Distinct == r.Len() || r.Saturated || slices.ContainsFunc(r.Query.By, query.Field.TwoSided) {
		return nil
	}
	c := r.Total
	for i := range shown {
		c.Flows -= shown[i].Flows
		c.Packets -= shown[i].Packets
		c.Bytes -= shown[i].Bytes
		c.ReversePackets -= shown[i].ReversePackets
		c.ReverseBytes -= shown[i].ReverseBytes
	}
	c.First, c.Last = 0, 0 // not known
	return &c
}

func (o *output) columns(r *query.Result, clock *flowtext.Clock) []statColumn {
	total := r.Total
	number := func(title string, of func(*query.Counters) uint64, format func([]byte, float64) []byte, drop int) statColumn {
		return statColumn{title, flowtext.Right, func(dst []byte, c *query.Counters) []byte { return format(dst, float64(of(c))) }, drop}
	}
	share := func(of func(*query.Counters) uint64, drop int) statColumn {
		return statColumn{"", flowtext.Right, func(dst []byte, c *query.Counters) []byte {
			return flowtext.AppendPercent(dst, float64(of(c)), float64(of(&total)))
		}, drop}
	}
	flows := func(c *query.Counters) uint64 { return c.Flows }
	packets := func(c *query.Counters) uint64 { return c.Packets }
	bytes := func(c *query.Counters) uint64 { return c.Bytes }
	columns := []statColumn{
		number("flows", flows, flowtext.AppendCount, 4), share(flows, 2),
		number("packets", packets, flowtext.AppendCount, 5), share(packets, 3),
		number("bytes", bytes, flowtext.AppendBytes, 6), share(bytes, 6),
	}
	switch r.Query.Sort { // what is sorted by stays in any width
	case query.ByFlows:
		columns[0].drop, columns[1].drop = 0, 0
	case query.ByPackets:
		columns[2].drop, columns[3].drop = 0, 0
	default:
		columns[4].drop, columns[5].drop = 0, 0
	}
	if total.ReversePackets > 0 || total.ReverseBytes > 0 {
		columns = append(columns,
			number("rev packets", func(c *query.Counters) uint64 { return c.ReversePackets }, flowtext.AppendCount, 1),
			number("rev bytes", func(c *query.Counters) uint64 { return c.ReverseBytes }, flowtext.AppendBytes, 1))
	}
	switch r.Query.Sort {
	case query.ByFirst, query.ByLast, query.ByDuration:
		columns = append(columns,
			statColumn{"first", flowtext.Left, func(dst []byte, c *query.Counters) []byte { return clock.AppendMillis(dst, c.First) }, 0},
			statColumn{"last", flowtext.Left, func(dst []byte, c *query.Counters) []byte { return clock.AppendMillis(dst, c.Last) }, 0})
	case query.ByPacketsPerSecond:
		columns = append(columns, statColumn{"packet/s", flowtext.Right, func(dst []byte, c *query.Counters) []byte {
			return dashIf(dst, c.Duration() == 0, func(dst []byte) []byte { return flowtext.AppendCount(dst, c.PacketsPerSecond()) })
		}, 0})
	case query.ByBitsPerSecond:
		columns = append(columns, statColumn{"rate", flowtext.Right, func(dst []byte, c *query.Counters) []byte {
			return dashIf(dst, c.Duration() == 0, func(dst []byte) []byte { return flowtext.AppendBits(dst, c.BitsPerSecond()) })
		}, 0})
	case query.ByBytesPerPacket:
		columns = append(columns, statColumn{"B/packet", flowtext.Right, func(dst []byte, c *query.Counters) []byte {
			return strconv.AppendFloat(dst, c.BytesPerPacket(), 'f', 0, 64)
		}, 0})
	}
	return columns
}

// fit drops columns until the table is no wider than the terminal.
func (o *output) fit(r *query.Result, keys [][]string, counters []query.Counters, columns []statColumn) []statColumn {
	if o.width == 0 {
		return columns
	}
	fixed := len(strconv.Itoa(max(len(keys), 1)))
	for i, f := range r.Query.By {
		width := utf8.RuneCountInString(f.String())
		for _, k := range keys {
			width = max(width, utf8.RuneCountInString(k[i]))
		}
		fixed += 2 + width
	}
	widths := make([]int, len(columns))
	for i, c := range columns {
		w := utf8.RuneCountInString(c.title)
		for j := range counters {
			w = max(w, utf8.RuneCount(c.cell(nil, &counters[j])))
		}
		w = max(w, utf8.RuneCount(c.cell(nil, &r.Total)))
		widths[i] = w
	}
	kept := make([]bool, len(columns))
	for i := range kept {
		kept[i] = true
	}
	for drop := 0; drop <= 6; drop++ {
		width := fixed
		for i, c := range columns {
			kept[i] = kept[i] && (c.drop == 0 || c.drop > drop)
			if kept[i] {
				width += 2 + widths[i]
			}
		}
		if width <= o.width {
			break
		}
	}
	var out []statColumn
	for i, c := range columns {
		if kept[i] {
			out = append(out, c)
		}
	}
	return out
}

func dashIf(dst []byte, dash bool, f func([]byte) []byte) []byte {
	if dash {
		return append(dst, '-')
	}
	return f(dst)
}

// keyText is a part of a key as a person reads it.
func keyText(v query.Value, clock *flowtext.Clock) string {
	switch {
	case v.None:
		return "-"
	case v.Field.Kind() == query.KindTime:
		text := string(clock.AppendMillis(nil, netflow.Timestamp(v.Num)))
		if v.Field.Bin() >= time.Minute {
			return text[:len("2006-01-02 15:04")]
		}
		return text
	}
	return v.Name()
}
