package storage_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caprock-net/caprock/storage"
)

const childVariable = "CAPROCK_STORAGE_TEST_WRITER"

func TestMain(m *testing.M) {
	if job := os.Getenv(childVariable); job != "" {
		first, dir, _ := strings.Cut(job, " ")
		if err := writeUntilKilled(dir, first); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// receivedAt gives each flow its time of arrival: 300 a second, so that slots change often.
func receivedAt(id uint64) time.Time { return slot0.Add(time.Duration(id) * time.Second / 300) }

func killConfig(dir string, first uint64) storage.Config {
	cfg := config(dir)
	cfg.Rotate = time.Minute
	cfg.RowGroup = 2000
	cfg.Sync = 50 * time.Millisecond
	cfg.Now = func() time.Time { return receivedAt(first) }
	return cfg
}

// writeUntilKilled is the other process: it writes flows from number first on, and says which it knows to be in the
// journal.
func writeUntilKilled(dir, first string) error {
	next, err := strconv.ParseUint(first, 10, 64)
	if err != nil {
		return err
	}
	w, err := storage.NewWriter(killConfig(dir, next))
	if err != nil {
		return err
	}
	go func() {
		if err := w.Run(context.Background()); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(1) // it is to be killed
	}()
	begin := next
	b := w.Batch()
	for {
		n := 1 + rand.Uint64N(400)
		fill(b, next, next+n, receivedAt(next))
		next += n
		if b, err = w.WriteWait(context.Background(), b); err != nil {
			return err
		}
		st := w.Stats()
		fmt.Println(begin - 1 + st.Flows - st.Recovered.Flows)
		time.Sleep(200 * time.Microsecond)
	}
}

// TestKill9 kills a writing process twenty times at random moments, each time with the next one taking over, while
// another reader looks on.
func TestKill9(t *testing.T) {
	dir := t.TempDir()
	rounds := 20
	if testing.Short() {
		rounds = 4
	}
	var known atomic.Uint64 // flows that the writer said to be in the journal
	var stop atomic.Bool
	var reader sync.WaitGroup
	reads := 0
	reader.Go(func() {
		for !stop.Load() {
			before := known.Load()
			flows, err := readFlows([]string{dir}, storage.Range{})
			if err == nil {
				err = checkOnce(flows, -1)
			}
			if err == nil && uint64(len(flows)) < before {
				err = fmt.Errorf("%d flows where %d were known", len(flows), before)
			}
			if err != nil {
				t.Error("while it is written: ", err)
				return
			}
			reads++
			time.Sleep(5 * time.Millisecond)
		}
	})
	for round := range rounds {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d %s", childVariable, known.Load()+1, dir))
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewReader(out)
		var deadline <-chan time.Time
		for {
			line, err := lines.ReadString('\n')
			if err == io.EOF {
				break
			}
			if deadline == nil {
				deadline = time.After(time.Duration(20+rand.IntN(130)) * time.Millisecond)
			}
			n, convErr := strconv.ParseUint(strings.TrimSpace(line), 10, 64)
			if err != nil || convErr != nil {
				t.Fatal(line, err, convErr)
			}
			known.Store(n)
			select {
			case <-deadline:
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			default:
			}
		}
		_ = cmd.Wait() // "signal: killed"
		flows, err := readFlows([]string{dir}, storage.Range{})
		if err == nil {
			err = checkOnce(flows, -1)
		}
		if err == nil && uint64(len(flows)) < known.Load() {
			err = fmt.Errorf("%d flows are left of %d", len(flows), known.Load())
		}
		if err != nil {
			t.Fatalf("after kill %d: %v", round+1, err)
		}
		known.Store(uint64(len(flows)))
	}
	stop.Store(true)
	reader.Wait()

	w := run(t, killConfig(dir, known.Load()))
	st := w.close()
	for _, name := range files(t, dir) {
		if strings.Contains(name, "tmp-") {
			t.Errorf("%s is left", name)
		}
	}
	flows, err := readFlows([]string{dir}, storage.Range{})
	if err == nil {
		err = checkOnce(flows, int(known.Load()))
	}
	if err != nil {
		t.Error(err)
	}
	t.Logf("%d flows, %d kills, %d reads meanwhile, at last recovered %+v", known.Load(), rounds, reads, st.Recovered)
}
