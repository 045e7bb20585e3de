package duckdb

import (
	"bufio"
	"database/sql"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	_ "github.com/duckdb/duckdb-go/v2"
)

// bin is the folder with the programs under test.
var bin string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "caprock-duckdb-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		bin = dir
		build := exec.Command("go", "build", "-buildvcs=false", "-o", dir+"/", "./cmd/probe", "./cmd/collector", "./cmd/flowstat", "./test/tracegen")
		build.Dir = filepath.Join("..", "..")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "build: %v\n%s", err, out)
			return 1
		}
		return m.Run()
	}())
}

func run(t *testing.T, program string, args ...string) string {
	t.Helper()
	cmd := exec.Command(filepath.Join(bin, program), args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v", cmd.Args, err)
	}
	return string(out)
}

type sums struct{ Flows, Packets, Bytes uint64 }

func flowstat(t *testing.T, args ...string) sums {
	t.Helper()
	var s sums
	if err := json.Unmarshal([]byte(run(t, "flowstat", append([]string{"-o", "ndjson"}, args...)...)), &s); err != nil {
		t.Fatal(err)
	}
	return s
}

func query(t *testing.T, db *sql.DB, text string) sums {
	t.Helper()
	var s sums
	if err := db.QueryRow(text).Scan(&s.Flows, &s.Packets, &s.Bytes); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return s
}

const selectSums = "SELECT count(*), coalesce(sum(packets), 0)::UBIGINT, coalesce(sum(bytes), 0)::UBIGINT FROM "

// TestDuckDBReadsWhatIsWritten stores a trace and compares DuckDB's sums over the open file and over the finished one
// with flowstat's, and both with what was sent.
func TestDuckDBReadsWhatIsWritten(t *testing.T) {
	dir := t.TempDir()
	store, trace := filepath.Join(dir, "store"), filepath.Join(dir, "trace.pcap")
	var sent sums
	var conversations int
	if _, err := fmt.Sscanf(run(t, "tracegen", "-packets", "400000", "-flows", "100000", "-o", trace),
		"packets %d bytes %d conversations %d flows %d", &sent.Packets, &sent.Bytes, &conversations, &sent.Flows); err != nil {
		t.Fatal(err)
	}
	collector := exec.Command(filepath.Join(bin, "collector"), "-w", store, "-l", "127.0.0.1:0", "--nesting", "0")
	stderr, err := collector.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := collector.Start(); err != nil {
		t.Fatal(err)
	}
	defer collector.Process.Kill()
	address := ""
	for r := bufio.NewScanner(stderr); address == "" && r.Scan(); {
		if _, after, ok := strings.Cut(r.Text(), "listening address="); ok {
			address, _, _ = strings.Cut(after, " ")
		}
	}
	go func() {
		for r := bufio.NewReader(stderr); ; {
			if _, err := r.ReadString('\n'); err != nil {
				return
			}
		}
	}()
	run(t, "probe", "--summary", "none", "-r", trace, "-e", address, "--key", "src_addr,dst_addr,src_port,dst_port,proto", "--no-tcp-expiry",
		"--active", "24h", "--inactive", "24h")

	db, err := sql.Open("duckdb", "")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()

	// By its own name flowstat would read the journal beside it too.
	open := filepath.Join(dir, "copy.parquet")
	if text, err := os.ReadFile(waitForRows(t, db, store)); err != nil {
		t.Fatal(err)
	} else if err := os.WriteFile(open, text, 0o644); err != nil {
		t.Fatal(err)
	}
	if got, want := query(t, db, selectSums+"'"+open+"'"), flowstat(t, open); got != want || got.Flows == 0 {
		t.Errorf("the open file: DuckDB %+v, flowstat %+v", got, want)
	}

	collector.Process.Signal(syscall.SIGTERM)
	if err := collector.Wait(); err != nil {
		t.Fatal(err)
	}
	finished := "'" + filepath.Join(store, "flows.*.parquet") + "'"
	if got := query(t, db, selectSums+finished); got != sent {
		t.Errorf("the finished file: DuckDB %+v, sent %+v", got, sent)
	}

	t.Run("types", func(t *testing.T) {
		rows, err := db.Query("SELECT column_name, column_type FROM (DESCRIBE SELECT * FROM " + finished + ")")
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		types := map[string]string{}
		for rows.Next() {
			var name, kind string
			if err := rows.Scan(&name, &kind); err != nil {
				t.Fatal(err)
			}
			types[name] = kind
		}
		for name, want := range map[string]string{"start": "TIMESTAMP WITH TIME ZONE", "received": "TIMESTAMP WITH TIME ZONE",
			"src_addr": "VARCHAR", "next_hop": "VARCHAR", "src_mac": "VARCHAR", "src_port": "USMALLINT", "proto": "UTINYINT",
			"packets": "UBIGINT", "src_as": "UINTEGER"} {
			if types[name] != want {
				t.Errorf("%s is a %q, want %q", name, types[name], want)
			}
		}
	})
	t.Run("comparisons as a person types them", func(t *testing.T) {
		for where, filter := range map[string]string{
			"src_port = 53 AND proto = 17":                                 "proto udp and src port 53",
			"src_addr LIKE '10.0.%'":                                       "src net 10.0.0.0/16",
			"dst_addr LIKE '2001:db8:%'":                                   "dst net 2001:db8::/32",
			"start < TIMESTAMPTZ '2026-11-21 16:00:07+00'":                 "first seen < 2026-11-21T16:00:07Z",
			"exporter = '127.0.0.1' AND bytes > 100000":                    "exporter ip 127.0.0.1 and bytes > 100000",
			"icmp_type = 8 AND proto = 1":                                  "proto icmp and icmp-type 8",
			"ip_version = 6 AND packets >= 10 AND sampling_rate IN (0, 1)": "ipv6 and packets >= 10",
		} {
			got, want := query(t, db, selectSums+finished+" WHERE "+where), flowstat(t, "-f", filter, store)
			if got != want || got.Flows == 0 || got.Flows == sent.Flows {
				t.Errorf("%s: DuckDB %+v, flowstat -f %q %+v, of %+v", where, got, filter, want, sent)
			}
		}
	})
}

// waitForRows returns the open file once DuckDB sees rows in it.
func waitForRows(t *testing.T, db *sql.DB, store string) string {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		files, _ := filepath.Glob(filepath.Join(store, "tmp-flows.*.parquet"))
		if len(files) == 0 {
			continue
		}
		var n int
		if err := db.QueryRow("SELECT count(*) FROM '" + files[0] + "'").Scan(&n); err == nil && n > 0 {
			return files[0]
		}
	}
	t.Fatal("no rows in an open file after 20 s")
	return ""
}
