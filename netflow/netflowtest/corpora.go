package netflowtest

import (
	"os"
	"path/filepath"
	"testing"
)

// Corpora returns a folder of other people's captures, "packets" or "exports", whose expected.json tells what independent
// tools found in them: in $CAPROCK_CORPORA, or else in ../shared/corpora beside the repository. Without it the test skips.
func Corpora(t testing.TB, folder string) string {
	t.Helper()
	dir, ok := FindCorpora(folder)
	if !ok {
		t.Skipf("no captures in %s: CAPROCK_CORPORA names the folder above them", dir)
	}
	return dir
}

// FindCorpora is Corpora for what can do without.
func FindCorpora(folder string) (dir string, ok bool) {
	dir = os.Getenv("CAPROCK_CORPORA")
	if dir == "" {
		dir = filepath.Join(root(), "..", "shared", "corpora")
	}
	dir = filepath.Join(dir, folder)
	_, err := os.Stat(filepath.Join(dir, "expected.json"))
	return dir, err == nil
}

// root is the folder of the module, as seen from a folder in it.
func root() string {
	dir := "."
	for range 10 {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
		dir = filepath.Join(dir, "..")
	}
	return dir
}
