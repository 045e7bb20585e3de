package query

import (
	"time"

	"github.com/caprock-net/caprock/netflow"
)

// Filter chooses flows. It is immutable; the nil Filter chooses all.
type Filter struct {
	tree expr // what was written
	plan node // tree and the bounds on received
}

// ParseFilter reads the language that the package comment describes; times without a zone are local. An empty text chooses
// all flows. Its error is a *SyntaxError.
func ParseFilter(text string) (*Filter, error) { return ParseFilterIn(text, time.Local) }

// ParseFilterIn is ParseFilter with times in another zone.
func ParseFilterIn(text string, loc *time.Location) (*Filter, error) {
	tree, err := parse(text, loc)
	if err != nil {
		return nil, err
	}
	return &Filter{tree: tree, plan: lower(tree)}, nil
}

// String returns the filter in a canonical spelling that parses to the same filter, without the bounds of Between.
func (f *Filter) String() string {
	if f == nil {
		return "any"
	}
	return string(f.tree.append(nil, bindLoose))
}

// Between returns a filter that wants from <= received < to as well; a zero bound is none. f may be nil.
func (f *Filter) Between(from, to netflow.Timestamp) *Filter {
	if f == nil {
		f = &Filter{tree: anyExpr{}, plan: constNode{true}}
	}
	if from == 0 && to == 0 {
		return f
	}
	set := numberSet{{uint64(from) ^ signBit, 1<<64 - 1}}
	if from == 0 {
		set[0].lo = 0
	}
	if to != 0 {
		set[0].hi = uint64(to-1) ^ signBit
	}
	if set[0].lo > set[0].hi {
		set = nil
	}
	received := &numberNode{column: netflow.Received, set: set, flip: signBit}
	// The bound first: most chunks lie wholly inside it, which is known without reading.
	return &Filter{tree: f.tree, plan: &andNode{[]node{received, f.plan}}}
}

// Columns returns the columns that the filter may read.
func (f *Filter) Columns() netflow.ColumnSet {
	if f == nil {
		return 0
	}
	return f.plan.columns()
}

// node returns the plan, of nil too.
func (f *Filter) node() node {
	if f == nil {
		return constNode{true}
	}
	return f.plan
}
