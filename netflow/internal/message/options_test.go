package message_test

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/caprock-net/caprock/netflow/internal/message"
)

// TestAppendOptions packs records of all sizes into messages of all sizes: none is lost but those that fit nowhere, none comes
// twice, each template comes once before its first record, and no message is too long.
func TestAppendOptions(t *testing.T) {
	for _, f := range []message.Format{message.V9, message.IPFIX} {
		for limit := f.HeaderLen; limit < 200; limit++ {
			template := func(id byte) []byte { return []byte{1, id, 0, 1, 0, 1, 0, 4, 0, 1} }
			sets := []message.OptionsSet{{ID: 0x101, Record: template(1)}, {ID: 0x102, Record: template(2)}, {ID: 0x103, Record: template(3)}}
			for i := range 40 {
				sets[0].Records = append(sets[0].Records, bytes.Repeat([]byte{byte(i)}, 4+i))
				sets[2].Records = append(sets[2].Records, bytes.Repeat([]byte{byte(i)}, 7))
			}
			var all []byte
			records, templates, messages := 0, 0, 0
			for len(sets) > 0 {
				body, rest, counts := f.AppendOptions(nil, limit, sets)
				if len(body)+f.HeaderLen > limit || (counts.Options == 0) != (len(body) == 0) || len(body) == 0 && rest != nil {
					t.Fatalf("limit %d: %d bytes, %+v, %d sets left", limit, len(body), counts, len(rest))
				}
				sets = rest
				all = append(all, body...)
				records += counts.Options
				templates += counts.Templates
				if messages++; messages > 100 {
					t.Fatalf("limit %d: no end", limit)
				}
			}
			// What has room behind the template, and what has room once the template was told.
			room := limit - f.HeaderLen - 2*(4+f.Align-1) - 10
			wantTemplates := 0
			if room >= 4 {
				wantTemplates++
			}
			if room >= 7 {
				wantTemplates++
			}
			if templates != wantTemplates {
				t.Fatalf("limit %d: %d templates, want %d", limit, templates, wantTemplates)
			}
			want := 0
			if room >= 4 {
				want = min(40, limit-f.HeaderLen-(4+f.Align-1)-3)
			}
			if room >= 7 {
				want += 40
			}
			if records != want {
				t.Fatalf("limit %d: %d records, want %d", limit, records, want)
			}
			for len(all) > 0 {
				n := int(binary.BigEndian.Uint16(all[2:]))
				if n < 5 || n > len(all) || n%f.Align != 0 {
					t.Fatalf("limit %d: set of %d bytes, %d left", limit, n, len(all))
				}
				all = all[n:]
			}
		}
	}
}

func TestCut(t *testing.T) {
	for n := range 20 {
		got := message.Cut("пользователь", n)
		if len(got) > n || len(got) < min(n, 24)-1 || !utf8.ValidString(got) || !strings.HasPrefix("пользователь", got) {
			t.Errorf("%d bytes: %q", n, got)
		}
	}
	if got := message.Cut("\x80\x80\x80\x80", 2); got != "" {
		t.Errorf("%q", got)
	}
}
