// Package cli is what the commands share: how they start, end, fail, log, load their configuration and describe
// themselves. A command's main is
//
//	func main() { os.Exit(cli.Main(newCommand())) }
//
// Standard output is data, standard error is talk. An error is printed once, in one line, behind the command's name. A
// reader that closes the pipe, as head does, ends a command by SIGPIPE, quietly and like any other tool.
// Exit statuses: 0 done, 1 failed, 2 wrong usage. A command that needs another one wraps its error with Exit.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
	"golang.org/x/term"
)

// Exit statuses of every command.
const (
	StatusOK    = 0
	StatusError = 1
	StatusUsage = 2
)

type statusError struct {
	status int
	err    error
}

func (e *statusError) Error() string { return e.err.Error() }
func (e *statusError) Unwrap() error { return e.err }

// Exit wraps err so that Main ends with the given status.
func Exit(status int, err error) error { return &statusError{status, err} }

// Usagef makes an error for which Main points at --help and ends with StatusUsage.
func Usagef(format string, args ...any) error {
	return &statusError{StatusUsage, fmt.Errorf(format, args...)}
}

// Main runs a command with the process's arguments and returns the exit status. The command's context ends at the first
// SIGINT or SIGTERM; a second one ends the process at once. Every command gets --version, --completion and --man.
func Main(cmd *cobra.Command) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // from here on a second signal has its default effect
	defer stop()
	return run(ctx, cmd, os.Args[1:], os.Stdout, os.Stderr)
}

func run(ctx context.Context, cmd *cobra.Command, args []string, stdout, stderr io.Writer) int {
	prepare(cmd, stdout)
	cmd.SetArgs(args)
	cmd.SetOut(stdout)
	cmd.SetErr(stderr)
	err := cmd.ExecuteContext(ctx)
	if err == nil || errors.Is(err, errDone) {
		return StatusOK
	}
	fmt.Fprintf(stderr, "%s: %s\n", cmd.Name(), strings.TrimSuffix(err.Error(), "\n"))
	status := StatusError
	if e := (*statusError)(nil); errors.As(err, &e) {
		status = e.status
	}
	if status == StatusUsage {
		fmt.Fprintf(stderr, "%s: see '%s --help'\n", cmd.Name(), cmd.Name())
	}
	return status
}

// errDone ends a run whose work was a completion script or manual pages.
var errDone = errors.New("done")

func prepare(cmd *cobra.Command, stdout io.Writer) {
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.Version = Version()
	cmd.SetVersionTemplate("{{.Name}} {{.Version}}\n")
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return Exit(StatusUsage, err) })
	cmd.CompletionOptions.DisableDefaultCmd = true
	if args := cmd.Args; args != nil {
		cmd.Args = func(c *cobra.Command, a []string) error {
			if asksForText(c) {
				return nil
			}
			if err := args(c, a); err != nil {
				return Exit(StatusUsage, err)
			}
			return nil
		}
	}
	var shell, manDir string
	cmd.Flags().StringVar(&shell, "completion", "", "print the completion script for `SHELL` (bash, zsh, fish, powershell) and exit")
	cmd.Flags().StringVar(&manDir, "man", "", "write the manual page into `DIR` and exit")
	_ = cmd.RegisterFlagCompletionFunc("completion", cobra.FixedCompletions([]string{"bash", "zsh", "fish", "powershell"}, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.MarkFlagDirname("man")
	runE := cmd.RunE
	cmd.RunE = func(c *cobra.Command, args []string) error {
		switch {
		case shell != "":
			return completion(c, shell, stdout)
		case manDir != "":
			return manual(c, manDir)
		}
		return runE(c, args)
	}
}

func asksForText(c *cobra.Command) bool {
	return c.Flags().Changed("completion") || c.Flags().Changed("man")
}

func completion(c *cobra.Command, shell string, w io.Writer) error {
	switch shell {
	case "bash":
		return c.GenBashCompletionV2(w, true)
	case "zsh":
		return c.GenZshCompletion(w)
	case "fish":
		return c.GenFishCompletion(w, true)
	case "powershell":
		return c.GenPowerShellCompletionWithDesc(w)
	}
	return Usagef("no completion for shell %q: bash, zsh, fish and powershell are known", shell)
}

func manual(c *cobra.Command, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	c.DisableAutoGenTag = true
	return doc.GenManTree(c, &doc.GenManHeader{Section: "1", Source: "Caprock " + Version(), Manual: "Caprock"}, dir)
}

// version is set by the linker when a release is built (-X); otherwise the module's own record of itself is used.
var version = ""

// Version returns what --version prints: the release, or the revision the binary was built from.
func Version() string {
	if version != "" {
		return version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	revision, dirty := "", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			revision = s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = "-modified"
		}
	}
	if revision == "" {
		return "development"
	}
	return "development-" + revision[:min(12, len(revision))] + dirty
}

// Logger returns the logger of a command: text on w (standard error), from Info on, or from Debug on when verbose.
func Logger(w io.Writer, verbose bool) *slog.Logger {
	level := slog.LevelInfo
	if verbose {
		level = slog.LevelDebug
	}
	return LevelLogger(w, level)
}

// LevelLogger is Logger with a level that may change.
func LevelLogger(w io.Writer, level slog.Leveler) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level}))
}

// IsTerminal reports whether stream, a reader or writer, is a terminal.
func IsTerminal(stream any) bool {
	f, ok := stream.(interface{ Fd() uintptr })
	return ok && term.IsTerminal(int(f.Fd()))
}

// Width returns the columns of a terminal, or 0 when stream is not one.
func Width(stream any) int {
	f, ok := stream.(interface{ Fd() uintptr })
	if !ok {
		return 0
	}
	w, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0
	}
	return w
}
