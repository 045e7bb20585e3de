// Package input is what flowcat, flowprint and flowstat share: which flows a command line names. Folders, files and pipes
// come as arguments, a window of time by --from, --to and --since, a filter by -f.
package input

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/caprock-net/caprock/cmd/internal/cli"
	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/storage"
	"github.com/caprock-net/caprock/storage/column"
	"github.com/caprock-net/caprock/storage/query"
)

// Options are the flags that choose flows.
type Options struct {
	filter, from, to, since string
	utc                     bool
}

// Register adds the flags to a command.
func (o *Options) Register(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVarP(&o.filter, "filter", "f", "", "take only flows that match `FILTER`, in nfdump's language: 'src net 10/8 and port 53'")
	f.StringVar(&o.from, "from", "", "take only flows received at `TIME` or later: 2006-01-02T15:04:05, a tail left out, 15:04 of today, or RFC 3339")
	f.StringVar(&o.to, "to", "", "take only flows received before `TIME`")
	f.StringVar(&o.since, "since", "", "take only flows received within the last `DURATION`: 15m, 1h, 2d, 1w")
	f.BoolVar(&o.utc, "utc", false, "read and show times in UTC, not in local time")
	cmd.MarkFlagsMutuallyExclusive("since", "from")
}

// Zone returns the time zone that times are read and shown in.
func (o *Options) Zone() *time.Location {
	if o.utc {
		return time.UTC
	}
	return time.Local
}

// Flows is what a command line chose.
type Flows struct {
	*storage.Snapshot
	Filter *query.Filter // with the bounds of the window

	damaged int
}

// Open opens what the arguments name; none means standard input, which must not be a terminal then.
func (o *Options) Open(cmd *cobra.Command, args []string) (*Flows, error) {
	now := time.Now().In(o.Zone())
	var window storage.Range
	var errs []error
	for _, bound := range []struct {
		flag, text string
		at         *time.Time
	}{{"--from", o.from, &window.From}, {"--to", o.to, &window.To}} {
		if bound.text == "" {
			continue
		}
		t, err := ParseTime(bound.text, now)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", bound.flag, err))
		}
		*bound.at = t
	}
	if o.since != "" {
		d, err := ParseSpan(o.since)
		if err != nil {
			errs = append(errs, fmt.Errorf("--since: %w", err))
		}
		window.From = now.Add(-d)
	}
	if !window.From.IsZero() && !window.To.IsZero() && !window.From.Before(window.To) {
		errs = append(errs, errors.New("--from is not before --to: no flow can match"))
	}
	filter, err := query.ParseFilterIn(o.filter, o.Zone())
	if err != nil {
		errs = append(errs, fmt.Errorf("-f: %w", err))
	}
	if len(errs) > 0 {
		return nil, cli.Exit(cli.StatusUsage, errors.Join(errs...))
	}
	if len(args) == 0 {
		if cli.IsTerminal(cmd.InOrStdin()) {
			return nil, cli.Usagef("no flows: name a folder or a file, or pipe flows in: flowcat DIR | %s", cmd.Name())
		}
		args = []string{"-"}
	}
	snapshot, err := storage.OpenSnapshot(args, window)
	if err != nil {
		return nil, explain(err)
	}
	var from, to netflow.Timestamp
	if !window.From.IsZero() {
		from = netflow.TimestampOf(window.From)
	}
	if !window.To.IsZero() {
		to = netflow.TimestampOf(window.To)
	}
	return &Flows{Snapshot: snapshot, Filter: filter.Between(from, to)}, nil
}

// explain adds to an error what can be done about it.
func explain(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%w: name the folder that the collector writes to (collector -w DIR)", err)
	}
	return err
}

// Readable returns the chunks of the flows. A file that cannot be read, or the damaged part of one, is reported on stderr
// and passed over: the others are worth reading all the same. Damage tells afterwards whether that happened.
func (f *Flows) Readable(stderr io.Writer) iter.Seq2[column.Chunk, error] {
	return func(yield func(column.Chunk, error) bool) {
		for c, err := range f.Chunks() {
			if err != nil {
				f.damaged++
				fmt.Fprintf(stderr, "warning: %v\n", err)
				continue
			}
			if !yield(c, nil) {
				return
			}
		}
	}
}

// Damage returns an error when something was passed over by Readable.
func (f *Flows) Damage() error {
	if f.damaged == 0 {
		return nil
	}
	return errors.New("the answer is incomplete: see the warnings above")
}
