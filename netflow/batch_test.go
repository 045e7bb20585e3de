package netflow_test

import (
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/caprock-net/caprock/netflow"
)

// randomRecord fills every field by reflection, so that a field added to Record but forgotten in Batch fails a test.
func randomRecord(rnd *rand.Rand) netflow.Record {
	var r netflow.Record
	v := reflect.ValueOf(&r).Elem()
	for i := range v.NumField() {
		switch f := v.Field(i); f.Kind() {
		case reflect.Int64:
			f.SetInt(rnd.Int64())
		case reflect.Array:
			for j := range f.Len() {
				f.Index(j).SetUint(uint64(rnd.IntN(256)))
			}
		default:
			f.SetUint(rnd.Uint64() >> (64 - f.Type().Bits()))
		}
	}
	return r
}

func TestBatchKeepsEveryFieldOfARecord(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	b := netflow.NewBatch(100)
	var want []netflow.Record
	for range 100 {
		r := randomRecord(rnd)
		want = append(want, r)
		b.Append(&r)
	}
	if got, fields := netflow.NumColumns, reflect.TypeFor[netflow.Record]().NumField(); got != fields {
		t.Errorf("%d columns for the %d fields of a record", got, fields)
	}
	for i := range want {
		if got := b.Record(i); got != want[i] {
			t.Fatalf("row %d: got %+v, want %+v", i, got, want[i])
		}
	}
	c := netflow.NewBatch(60)
	if n := c.AppendRows(b, 30, 100); n != 60 {
		t.Fatalf("copied %d rows into room for 60", n)
	}
	for i := range 60 {
		if got := c.Record(i); got != want[30+i] {
			t.Fatalf("copied row %d: got %+v, want %+v", i, got, want[30+i])
		}
	}
}

func TestBatchRowsBeyondLenAreZero(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	b := netflow.NewBatch(10)
	for range 10 {
		r := randomRecord(rnd)
		b.Append(&r)
	}
	b.Truncate(4)
	b.Extend(6, 0)
	for i := 4; i < 10; i++ {
		if got := b.Record(i); got != (netflow.Record{}) {
			t.Errorf("row %d after Truncate and Extend: got %+v, want zeros", i, got)
		}
	}
	b.Reset()
	if b.Len() != 0 || b.Present() != 0 || b.Room() != 10 {
		t.Errorf("after Reset: %d rows, columns %b, room %d", b.Len(), b.Present(), b.Room())
	}
}

func TestColumnNames(t *testing.T) {
	for _, c := range netflow.Columns() {
		if got, ok := netflow.ColumnByName(c.String()); !ok || got != c {
			t.Errorf("column %q is found as %v, %v", c, got, ok)
		}
		if c.Source() == "" {
			t.Errorf("column %q does not say where its values come from", c)
		}
	}
}
