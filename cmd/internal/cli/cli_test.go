package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
)

type testOptions struct {
	active  time.Duration
	export  []string
	verbose bool
	config  string
}

func testCommand(o *testOptions, err error) *cobra.Command {
	cmd := &cobra.Command{Use: "tool [flags] file...", Short: "a tool", Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if e := LoadConfig(cmd, o.config); e != nil {
				return e
			}
			return err
		}}
	cmd.Flags().DurationVar(&o.active, "active-timeout", time.Minute, "cut flows after `DURATION`")
	cmd.Flags().StringSliceVar(&o.export, "export", nil, "send to `HOST:PORT`")
	cmd.Flags().BoolVarP(&o.verbose, "verbose", "v", false, "say more")
	cmd.Flags().StringVar(&o.config, "config", "", "read `FILE`")
	return cmd
}

func TestStatusAndMessages(t *testing.T) {
	for _, test := range []struct {
		name   string
		args   []string
		err    error
		status int
		stderr string
	}{
		{"done", nil, nil, 0, ""},
		{"failed", nil, errors.New("disk on fire"), 1, "tool: disk on fire\n"},
		{"own status", nil, fmt.Errorf("outer: %w", Exit(3, errors.New("inner"))), 3, "tool: outer: inner\n"},
		{"usage", nil, Usagef("give a file"), 2, "tool: give a file\ntool: see 'tool --help'\n"},
		{"unknown flag", []string{"--nope"}, nil, 2, "tool: unknown flag: --nope\ntool: see 'tool --help'\n"},
		{"too many arguments", []string{"a", "b"}, nil, 2, "tool: accepts at most 1 arg(s), received 2\ntool: see 'tool --help'\n"},
		{"unknown shell", []string{"--completion", "csh"}, nil, 2,
			"tool: no completion for shell \"csh\": bash, zsh, fish and powershell are known\ntool: see 'tool --help'\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			status := run(context.Background(), testCommand(&testOptions{}, test.err), test.args, &stdout, &stderr)
			if status != test.status || stderr.String() != test.stderr {
				t.Errorf("status %d, stderr %q; want %d, %q", status, &stderr, test.status, test.stderr)
			}
		})
	}
}

func TestVersionCompletionAndManual(t *testing.T) {
	var stdout, stderr bytes.Buffer
	if s := run(context.Background(), testCommand(&testOptions{}, nil), []string{"--version"}, &stdout, &stderr); s != 0 || !strings.HasPrefix(stdout.String(), "tool ") {
		t.Errorf("--version: status %d, prints %q", s, &stdout)
	}
	stdout.Reset()
	if s := run(context.Background(), testCommand(&testOptions{}, nil), []string{"--completion", "bash"}, &stdout, &stderr); s != 0 || !strings.Contains(stdout.String(), "__start_tool") {
		t.Errorf("--completion bash: status %d, %d bytes", s, stdout.Len())
	}
	dir := t.TempDir()
	if s := run(context.Background(), testCommand(&testOptions{}, nil), []string{"--man", dir}, &stdout, &stderr); s != 0 {
		t.Errorf("--man: status %d, %s", s, &stderr)
	}
	page, err := os.ReadFile(filepath.Join(dir, "tool.1"))
	if err != nil || !bytes.Contains(page, []byte("active-timeout")) {
		t.Errorf("manual page: %v, %d bytes", err, len(page))
	}
}

func TestConfiguration(t *testing.T) {
	file := filepath.Join(t.TempDir(), "tool.yaml")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	exec := func(args ...string) (testOptions, error) {
		var o testOptions
		cmd := testCommand(&o, nil)
		prepare(cmd, &bytes.Buffer{})
		cmd.SetArgs(args)
		return o, func() error { err := cmd.Execute(); return err }()
	}
	write("active-timeout: 5m\nexport: [a:1, b:2]\n")
	t.Setenv("CAPROCK_VERBOSE", "true")

	var o testOptions
	cmd := testCommand(&o, nil)
	prepare(cmd, &bytes.Buffer{})
	cmd.SetArgs([]string{"--config", file, "--export", "c:3"})
	if err := cmd.Execute(); err != nil {
		t.Fatal(err)
	}
	if o.active != 5*time.Minute || !o.verbose || len(o.export) != 1 || o.export[0] != "c:3" {
		t.Errorf("got %+v; want 5m from the file, verbose from the environment, c:3 from the command line", o)
	}

	var printed bytes.Buffer
	if err := PrintConfig(cmd, &printed); err != nil {
		t.Fatal(err)
	}
	write(printed.String())
	var again testOptions
	cmd = testCommand(&again, nil)
	prepare(cmd, &bytes.Buffer{})
	cmd.SetArgs([]string{"--config", file})
	if err := cmd.Execute(); err != nil {
		t.Fatalf("the printed configuration is refused: %v\n%s", err, &printed)
	}
	if again.active != o.active || len(again.export) != 1 || again.export[0] != "c:3" {
		t.Errorf("printed and read again: %+v, want %+v", again, o)
	}

	write("active-timeout: soon\nactiv: 3\n")
	_, err := exec("--config", file)
	if err == nil || !strings.Contains(err.Error(), `unknown key "activ"`) || !strings.Contains(err.Error(), "active-timeout: ") {
		t.Errorf("bad configuration: got %v, want both complaints", err)
	}
}
