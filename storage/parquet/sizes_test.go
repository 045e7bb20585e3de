package parquet

import (
	"testing"

	"github.com/caprock-net/caprock/storage/storagetest"
)

// TestSizes holds the line on bytes a flow and, with -v, says where they go.
func TestSizes(t *testing.T) {
	const rows = 1 << 17
	g, err := EncodeRowGroup(storagetest.Generate(1, rows), Options{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range g.chunks {
		c := &g.chunks[i]
		dict := int64(0)
		if c.encoding == encodingRLEDictionary {
			dict = c.dataAt - c.dictAt
		}
		t.Logf("%-18v encoding %d %7.3f B/flow, of it dictionary %.3f; before compression %.3f, Bloom filter %.3f",
			c.column, c.encoding, float64(c.size)/rows, float64(dict)/rows, float64(c.rawSize)/rows, float64(c.bloomLength)/rows)
	}
	perFlow := float64(g.Size()) / rows
	t.Logf("%.2f B/flow", perFlow)
	if perFlow > 31 {
		t.Errorf("%.2f bytes a flow, want at most 31", perFlow)
	}
}
