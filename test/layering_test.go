package test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/caprock-net/caprock/"

type layer struct {
	folder    string
	ours      []string
	libraries []string
}

// layers lists, for each folder, which of our folders it may import, and which libraries outside the standard library.
// The first prefix that fits a package decides.
var layers = []layer{
	{"cmd/internal/cli", nil, []string{"github.com/spf13/", "go.yaml.in/yaml/v3", "golang.org/x/term"}},
	{"cmd/internal/flowtest", []string{"netflow", "storage"}, []string{"github.com/rogpeppe/go-internal/testscript"}},
	{"cmd/", []string{"cmd/internal", "netflow", "probe", "collector", "storage"}, []string{"github.com/spf13/", "github.com/prometheus/client_golang", "golang.org/x/sys", "golang.org/x/term"}},
	{"netflow", []string{"netflow"}, nil},
	{"probe", []string{"netflow", "probe"}, []string{"golang.org/x/", "github.com/google/gopacket"}},
	{"collector", []string{"netflow", "collector", "storage"}, []string{"golang.org/x/"}},
	{"storage/column", []string{"netflow"}, nil},
	{"storage/query", []string{"netflow", "storage/column", "storage/query"}, []string{"golang.org/x/sync"}},
	{"storage", []string{"netflow", "storage"}, []string{"github.com/parquet-go/", "github.com/klauspost/compress", "golang.org/x/"}},
	{"test/bench", []string{"netflow", "storage/storagetest"}, []string{"golang.org/x/sys"}},
	{"test/exportgen", []string{"netflow", "probe/export"}, nil},
	{"test", []string{"netflow", "test"}, []string{"golang.org/x/"}},
}

// TestImportsPointOneWay holds the line that the packages are cut along: cmd → probe, collector, storage → netflow, and
// collector → storage; each library in its one home.
func TestImportsPointOneWay(t *testing.T) {
	list := exec.Command("go", "list", "-json=ImportPath,Imports", "./...")
	list.Dir = ".."
	out, err := list.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	seen := 0
	for d := json.NewDecoder(strings.NewReader(string(out))); ; seen++ {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		folder := strings.TrimPrefix(p.ImportPath, module)
		at := slices.IndexFunc(layers, func(l layer) bool { return under(folder, l.folder) })
		if at < 0 {
			t.Errorf("%s is in no layer: add it to the list", folder)
			continue
		}
		for _, i := range p.Imports {
			if ours, is := strings.CutPrefix(i, module); is {
				if !slices.ContainsFunc(layers[at].ours, func(f string) bool { return under(ours, f) }) {
					t.Errorf("%s imports %s: %s may import %v only", folder, ours, layers[at].folder, layers[at].ours)
				}
			} else if strings.Contains(strings.Split(i, "/")[0], ".") {
				if !slices.ContainsFunc(layers[at].libraries, func(l string) bool { return strings.HasPrefix(i+"/", l) || strings.HasPrefix(i, l) }) {
					t.Errorf("%s imports %s: %s may import %v only", folder, i, layers[at].folder, layers[at].libraries)
				}
			}
		}
	}
	if seen < 10 {
		t.Errorf("go list named %d packages only", seen)
	}
}

func under(folder, parent string) bool {
	return folder == path.Clean(parent) || strings.HasPrefix(folder, path.Clean(parent)+"/")
}
