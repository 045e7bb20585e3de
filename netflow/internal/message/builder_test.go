package message_test

import (
	"bytes"
	"encoding/hex"
	"testing"
	"time"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/netflow/internal/message"
)

// small has two templates of one field: 4 (protocolIdentifier, 1 byte) and 7 (sourceTransportPort, 2 bytes).
func small(f message.Format, maxBytes int) message.Config {
	return message.Config{
		Format: f, MaxBytes: maxBytes, Every: time.Minute, Messages: 3,
		Templates: []message.Template{
			{ID: 256, Record: []byte{1, 0, 0, 1, 0, 4, 0, 1}, Size: 1},
			{ID: 257, Record: []byte{1, 1, 0, 1, 0, 7, 0, 2}, Size: 2},
		},
	}
}

func add(t *testing.T, b *message.Builder, now netflow.Timestamp, template int, record ...byte) {
	t.Helper()
	if copy(b.Record(now, template), record) != len(record) {
		t.Fatalf("no room for a record of template %d", template)
	}
}

func wantSets(t *testing.T, b *message.Builder, now netflow.Timestamp, wantHex string, wantCounts message.Counts) {
	t.Helper()
	got, counts := b.AppendSets(nil, now)
	want, err := hex.DecodeString(wantHex)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) || counts != wantCounts {
		t.Errorf("got %x, %+v\nwant %x, %+v", got, counts, want, wantCounts)
	}
}

func TestSets(t *testing.T) {
	tests := []struct {
		name   string
		format message.Format
		first  string
	}{
		{"v9 pads to four bytes", message.V9, "00000014" + "0100000100040001" + "0101000100070002" +
			"01000008" + "06110000" + "01010008" + "00500000"},
		{"IPFIX does not", message.IPFIX, "00020014" + "0100000100040001" + "0101000100070002" +
			"01000006" + "0611" + "01010006" + "0050"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := message.NewBuilder(small(test.format, 100))
			add(t, b, 1, 0, 6)
			add(t, b, 1, 1, 0, 80)
			add(t, b, 1, 0, 17)
			wantSets(t, b, 1, test.first, message.Counts{Templates: 2, Flows: 3})
		})
	}
}

func TestTemplatesAreResent(t *testing.T) {
	const (
		with    = "0002000c" + "0100000100040001" + "01000005" + "06"
		without = "01000005" + "06"
	)
	b := message.NewBuilder(small(message.IPFIX, 100))
	send := func(now netflow.Timestamp, want string) {
		t.Helper()
		add(t, b, now, 0, 6)
		counts := message.Counts{Flows: 1}
		if want == with {
			counts.Templates = 1
		}
		wantSets(t, b, now, want, counts)
	}
	send(100e6, with) // the first message
	send(100e6, without)
	send(159e6, without)
	send(159e6, with)    // the third after it
	send(219e6, with)    // a minute later
	send(100e6, with)    // two minutes back
	send(100e6, without) // and there we stay
	b.Forget()
	send(100e6, with)
	add(t, b, 100e6, 1, 0, 80) // a template that was not used yet
	wantSets(t, b, 100e6, "0002000c"+"0101000100070002"+"01010006"+"0050", message.Counts{Templates: 1, Flows: 1})
}

func TestOptionsTravelWithTheFirstSet(t *testing.T) {
	cfg := small(message.V9, 100)
	cfg.Options = message.Template{ID: 300, Record: []byte{1, 0x2c, 0, 4, 0, 4, 0, 1, 0, 4, 0, 34, 0, 4}, Size: 8}
	cfg.OptionsData = []byte{0, 0, 0, 0, 0, 0, 0, 100}
	b := message.NewBuilder(cfg)
	add(t, b, 1, 0, 6)
	wantSets(t, b, 1, "0000000c"+"0100000100040001"+"00010014"+"012c0004000400010004"+"00220004"+"0000"+
		"012c000c"+"0000000000000064"+"01000008"+"06000000", message.Counts{Templates: 2, Options: 1, Flows: 1})
	add(t, b, 1, 0, 6)
	wantSets(t, b, 1, "01000008"+"06000000", message.Counts{Flows: 1})
}

func TestMessagesStayBelowTheirGreatestSize(t *testing.T) {
	for _, f := range []message.Format{message.V9, message.IPFIX} {
		for limit := f.HeaderLen + 40; limit < f.HeaderLen+120; limit++ {
			b := message.NewBuilder(small(f, limit))
			total, longest := 0, 0
			var buf []byte
			for i := range 1000 {
				p := b.Record(1, i%2)
				if p == nil {
					var counts message.Counts
					buf, counts = b.AppendSets(buf[:0], 1)
					total += counts.Flows
					longest = max(longest, f.HeaderLen+len(buf))
					if b.Len() != 0 {
						t.Fatalf("%d records in a new message", b.Len())
					}
					p = b.Record(1, i%2)
				}
				if len(p) != 1+i%2 {
					t.Fatalf("room for a record of %d bytes, want %d", len(p), 1+i%2)
				}
			}
			if _, counts := b.AppendSets(nil, 1); total+counts.Flows != 1000 {
				t.Errorf("limit %d: %d records in, %d out", limit, 1000, total+counts.Flows)
			}
			if longest > limit || longest < limit-10 {
				t.Errorf("limit %d: longest message %d", limit, longest)
			}
		}
	}
}

func TestBuildingDoesNotAllocate(t *testing.T) {
	b := message.NewBuilder(small(message.IPFIX, 1400))
	var buf []byte
	if n := testing.AllocsPerRun(100, func() {
		for i := range 1000 {
			if b.Record(1, i%2) == nil {
				buf, _ = b.AppendSets(buf[:0], 1)
			}
		}
	}); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}
