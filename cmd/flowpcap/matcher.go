package main

import (
	"context"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/probe/archive"
	"github.com/caprock-net/caprock/storage/column"
	"github.com/caprock-net/caprock/storage/query"
)

// maxVerdicts bounds the verdicts that a matcher remembers.
const maxVerdicts = 1 << 18

// matcher tells which keys a filter chooses.
type matcher struct {
	rows     query.Rows
	batch    *netflow.Batch
	verdicts map[archive.Key]bool
}

func newMatcher(f *query.Filter) *matcher {
	// The row's number passes through a column that no filter here may ask for.
	return &matcher{
		rows:  query.Rows{Filter: f, Columns: netflow.SetOf(netflow.Domain), Workers: 1},
		batch: netflow.NewBatch(query.BatchRows), verdicts: map[archive.Key]bool{},
	}
}

// choose calls hit with the places of the keys that match, in order.
func (m *matcher) choose(ctx context.Context, keys []archive.Key, hit func(i int)) error {
	for from := 0; from < len(keys); from += m.batch.Cap() {
		part := keys[from:min(from+m.batch.Cap(), len(keys))]
		b := m.batch
		b.Reset()
		b.Extend(len(part), known|netflow.SetOf(netflow.Domain))
		for i := range part {
			k := &part[i]
			b.Domain[i] = uint32(i)
			b.SrcAddr[i], b.DstAddr[i], b.SrcPort[i], b.DstPort[i] = k.Src, k.Dst, k.SrcPort, k.DstPort
			b.Proto[i], b.IPVersion[i] = k.Proto, k.IPVersion
			if k.Proto == netflow.ProtoICMP || k.Proto == netflow.ProtoICMPv6 {
				b.ICMPType[i], b.ICMPCode[i] = uint8(k.DstPort>>8), uint8(k.DstPort)
			}
		}
		chunks := func(yield func(column.Chunk, error) bool) { yield(column.FromBatch(b), nil) }
		err := m.rows.Scan(ctx, chunks, func(chosen *netflow.Batch) error {
			for i := range chosen.Len() {
				hit(from + int(chosen.Domain[i]))
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// decide looks at keys that were not seen before, so that chosen knows them.
func (m *matcher) decide(ctx context.Context, keys []archive.Key) error {
	if len(m.verdicts) > maxVerdicts {
		clear(m.verdicts)
	}
	var unseen []archive.Key
	for _, k := range keys {
		if _, seen := m.verdicts[k]; !seen {
			m.verdicts[k] = false
			unseen = append(unseen, k)
		}
	}
	return m.choose(ctx, unseen, func(i int) { m.verdicts[unseen[i]] = true })
}
