package main

import (
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/caprock-net/caprock/cmd/internal/flowtext"
	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/storage/query"
)

// output is where a result goes.
type output struct {
	w     io.Writer
	zone  *time.Location
	width int // of the terminal, 0 when it is none
}

// counterNames are the columns of machine-readable output behind the fields, in this order always.
var counterNames = []string{"flows", "packets", "bytes", "reverse_packets", "reverse_bytes", "first", "last"}

func (o *output) csv(r *query.Result) error {
	var line []byte
	for _, f := range r.Query.By {
		line = append(append(line, f.String()...), ',')
	}
	line = append(append(line, strings.Join(counterNames, ",")...), '\n')
	if _, err := o.w.Write(line); err != nil {
		return err
	}
	clock := flowtext.NewClock(time.UTC)
	return o.rows(r, func(g *query.Group) []byte {
		line = line[:0]
		for _, v := range g.Key {
			line = append(v.AppendText(line), ',')
		}
		for _, n := range sums(&g.Counters) {
			line = append(strconv.AppendUint(line, n, 10), ',')
		}
		line = append(clock.AppendISO(line, g.First), ',')
		return append(clock.AppendISO(line, g.Last), '\n')
	})
}

func (o *output) ndjson(r *query.Result) error {
	var line []byte
	clock := flowtext.NewClock(time.UTC)
	return o.rows(r, func(g *query.Group) []byte {
		line = append(line[:0], '{')
		for i, v := range g.Key {
			line = append(append(append(line, '"'), r.Query.By[i].String()...), `":`...)
			switch {
			case v.None:
				line = append(line, "null"...)
			case v.Field.Kind() == query.KindNumber:
				line = strconv.AppendUint(line, v.Num, 10)
			default:
				line = append(v.AppendText(append(line, '"')), '"')
			}
			line = append(line, ',')
		}
		for i, n := range sums(&g.Counters) {
			line = append(append(append(line, '"'), counterNames[i]...), `":`...)
			line = append(strconv.AppendUint(line, n, 10), ',')
		}
		line = append(line, `"first":`...)
		line = append(jsonTime(line, clock, g.First), `,"last":`...)
		return append(jsonTime(line, clock, g.Last), "}\n"...)
	})
}

func jsonTime(dst []byte, clock *flowtext.Clock, t netflow.Timestamp) []byte {
	if t == 0 {
		return append(dst, "null"...)
	}
	return append(clock.AppendISO(append(dst, '"'), t), '"')
}

// rows calls line for each group, or for the totals as a group without a key, and writes what it returns.
func (o *output) rows(r *query.Result, line func(*query.Group) []byte) error {
	if len(r.Query.By) == 0 {
		_, err := o.w.Write(line(&query.Group{Counters: r.Total}))
		return err
	}
	for i := range r.Len() {
		g := r.Group(i)
		if _, err := o.w.Write(line(&g)); err != nil {
			return err
		}
	}
	return nil
}

func sums(c *query.Counters) [5]uint64 {
	return [...]uint64{c.Flows, c.Packets, c.Bytes, c.ReversePackets, c.ReverseBytes}
}
