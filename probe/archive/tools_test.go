package archive

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestTools: capinfos, tshark and tcpdump read the files and count what is in them.
func TestTools(t *testing.T) {
	dir := t.TempDir()
	packets := generated(t, 5000, 128, 10*time.Second)
	record(t, newArchive(t, Config{Dir: dir}), packets)
	names, err := List(dir)
	if err != nil || len(names) != 1 {
		t.Fatal(names, err)
	}
	path := filepath.Join(dir, names[0]+captureTail)
	first := time.UnixMicro(int64(packets[0].Time)).UTC()
	for _, test := range []struct {
		program string
		args    []string
		want    func(out string) bool
	}{
		{"capinfos", []string{"-c", "-a", "-S", "-M", path}, func(out string) bool {
			return strings.Contains(out, fmt.Sprintf("packets:   %d\n", len(packets))) && strings.Contains(out, fmt.Sprintf("%d.%06d", first.Unix(), first.Nanosecond()/1000))
		}},
		{"tshark", []string{"-n", "-r", path, "-T", "fields", "-e", "frame.len"}, func(out string) bool {
			lines := strings.Fields(out)
			for i, p := range packets {
				if len(lines) != len(packets) || lines[i] != fmt.Sprint(p.WireLen) {
					return false
				}
			}
			return true
		}},
		{"tcpdump", []string{"-n", "-tt", "-r", path}, func(out string) bool {
			return strings.Count(out, "\n") >= len(packets) && strings.HasPrefix(out, fmt.Sprintf("%d.%06d ", first.Unix(), first.Nanosecond()/1000))
		}},
	} {
		t.Run(test.program, func(t *testing.T) {
			if _, err := exec.LookPath(test.program); err != nil {
				t.Skip(err)
			}
			out, err := exec.Command(test.program, test.args...).Output()
			if err != nil || !test.want(string(out)) {
				t.Errorf("error %v: %.300s", err, out)
			}
		})
	}
}
