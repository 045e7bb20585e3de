package flowtext_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/caprock-net/caprock/cmd/internal/flowtext"
	"github.com/caprock-net/caprock/netflow"
)

func TestTimes(t *testing.T) {
	newYork, err := time.LoadLocation("America/New_York")
	if err != nil {
		t.Skip("no time zone data on this machine:", err)
	}
	at := netflow.TimestampOf(time.Date(2026, 11, 1, 5, 59, 59, 999_999_000, time.UTC))
	local, utc := flowtext.NewClock(newYork), flowtext.NewClock(time.UTC)
	for _, test := range []struct {
		name string
		got  []byte
		want string
	}{
		{"local", local.AppendMillis(nil, at), "2026-11-01 01:59:59.999"},
		{"an hour later the clock has been put back", local.AppendMillis(nil, at+3600e6), "2026-11-01 01:59:59.999"},
		{"utc", utc.AppendMillis(nil, at), "2026-11-01 05:59:59.999"},
		{"iso", flowtext.NewClock(newYork).AppendISO(nil, at), "2026-11-01T05:59:59.999999Z"},
		{"before 1970", utc.AppendMillis(nil, -1), "1969-12-31 23:59:59.999"},
		{"not told", utc.AppendMillis(nil, 0), "-"},
		{"not told, iso", utc.AppendISO(nil, 0), ""},
		{"duration", flowtext.AppendDuration(nil, at, at+61_234_567), "61.234"},
		{"negative duration", flowtext.AppendDuration(nil, 2_000_000, 500_000), "-1.500"},
	} {
		if string(test.got) != test.want {
			t.Errorf("%s: got %q, want %q", test.name, test.got, test.want)
		}
	}
}

func TestNumbers(t *testing.T) {
	for _, test := range []struct {
		got  []byte
		want string
	}{
		{flowtext.AppendCount(nil, 99_999), "99999"},
		{flowtext.AppendCount(nil, 100_000), "100k"},
		{flowtext.AppendCount(nil, 1_234_567), "1.23M"},
		{flowtext.AppendCount(nil, 12_345_678), "12.3M"},
		{flowtext.AppendCount(nil, 999_499), "999k"},
		{flowtext.AppendCount(nil, 999_500), "1.00M"},
		{flowtext.AppendBytes(nil, 0), "0 B"},
		{flowtext.AppendBytes(nil, 999), "999 B"},
		{flowtext.AppendBytes(nil, 1000), "1.00 kB"},
		{flowtext.AppendBytes(nil, 9995), "10.0 kB"},
		{flowtext.AppendBytes(nil, 68_214_668_275), "68.2 GB"},
		{flowtext.AppendBytes(nil, 1<<64-1), "18.4 EB"},
		{flowtext.AppendBits(nil, 1_500_000), "1.50 Mbit/s"},
		{flowtext.AppendPercent(nil, 1, 3), "33.3%"},
		{flowtext.AppendPercent(nil, 0, 0), "-"},
	} {
		if string(test.got) != test.want {
			t.Errorf("got %q, want %q", test.got, test.want)
		}
	}
}

func TestTable(t *testing.T) {
	var out bytes.Buffer
	table := flowtext.NewTable(&out, flowtext.Left, flowtext.Right, flowtext.Left)
	table.AtLeast(0, 6)
	table.Row("src", "bytes", "note")
	table.Row("10.0.0.1", "1", "")
	table.Row("é", "1000", "x")
	if err := table.Flush(); err != nil {
		t.Fatal(err)
	}
	table.Row("10.0.0.100", "22", "wider")
	if err := table.Flush(); err != nil {
		t.Fatal(err)
	}
	want := "src       bytes  note\n10.0.0.1      1\né          1000  x\n10.0.0.100     22  wider\n"
	if out.String() != want {
		t.Errorf("got\n%q, want\n%q", out.String(), want)
	}
}
