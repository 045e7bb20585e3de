package cli

import "testing"

func TestSize(t *testing.T) {
	for text, want := range map[string]Size{
		"0": 0, "65536": 65536, "7B": 7, "512KiB": 512 << 10, "64MiB": 64 << 20, "1G": 1 << 30, "1024GiB": 1 << 40,
	} {
		var got, again Size
		if err := got.Set(text); err != nil || got != want {
			t.Errorf("%s: %d, error %v, want %d", text, got, err, want)
		}
		if err := again.Set(got.String()); err != nil || again != got {
			t.Errorf("%s: printed as %s, read as %d, error %v", text, &got, again, err)
		}
	}
	for _, text := range []string{"", "MiB", "-1", "+1", "1.5MiB", "1 MiB", "64 KB", "1025GiB", "99999999999999999999"} {
		got := Size(42)
		if err := got.Set(text); err == nil || got != 42 {
			t.Errorf("%q: %d, error %v; want a refusal", text, got, err)
		}
	}
}
