package main

import (
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/caprock-net/caprock/cmd/internal/cli"
	"github.com/caprock-net/caprock/probe"
)

// reloadable are the settings that a running probe takes over. All others need a restart.
var reloadable = []string{
	"active", "inactive", "no-tcp-expiry", "export", "max-rate", "template-refresh", "template-packets",
	"archive-size", "archive-max", "archive-files", "archive-min-free", "summary", "verbose",
}

// reloader reads the settings again and gives a running probe those that have changed.
type reloader struct {
	o     *options
	args  []string
	given map[string][]string // flags of the command line, which win again
	now   map[string][]string // all flags, as they are in force
	file  string              // of settings, from / on; "": there is none
	level *slog.LevelVar
	log   *slog.Logger

	signals *cli.Signals // nil: not taken
}

// newReloader remembers the command line; before settings are loaded from elsewhere.
func newReloader(cmd *cobra.Command, o *options, args []string) *reloader {
	r := &reloader{o: o, args: args, given: map[string][]string{}, level: new(slog.LevelVar)}
	cmd.Flags().Visit(func(f *pflag.Flag) { r.given[f.Name] = values(f) })
	return r
}

// loaded remembers the settings in force.
func (r *reloader) loaded(cmd *cobra.Command, log *slog.Logger) error {
	r.log = log
	r.now = map[string][]string{}
	cmd.Flags().VisitAll(func(f *pflag.Flag) { r.now[f.Name] = values(f) })
	var err error
	if r.file = r.o.settings.File(); r.file != "" {
		r.file, err = filepath.Abs(r.file) // for when there is another root, or working folder
	}
	r.o.jail.reload = r.file
	return err
}

// values are a flag's, as its Set takes them.
func values(f *pflag.Flag) []string {
	if list, ok := f.Value.(pflag.SliceValue); ok {
		return list.GetSlice()
	}
	return []string{f.Value.String()}
}

// check warns when the process that is shut in could not read the file.
func (r *reloader) check() {
	if r.file == "" {
		return
	}
	f, err := os.Open(r.file)
	if err != nil {
		r.log.Warn("the settings cannot be read again at SIGHUP: their file must be readable for the user, in the root folder, that the probe has now", "err", err)
		return
	}
	_ = f.Close()
}

// reload does it. Whatever is wrong with the new settings changes nothing.
func (r *reloader) reload(p *probe.Probe) {
	if r.file == "" {
		r.log.Warn("SIGHUP: there is nothing to reload: settings do not come from a file (--config)")
		return
	}
	next, cmd, err := r.read()
	if err != nil {
		r.log.Error("settings are not reloaded: nothing has changed", "file", r.file, "err", err)
		return
	}
	var changed, restart []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		was, known := r.now[f.Name]
		switch {
		case !known || slices.Equal(was, values(f)):
		case slices.Contains(reloadable, f.Name) && (f.Name != "export" || r.reachable(next)):
			changed = append(changed, f.Name)
		default:
			restart = append(restart, f.Name)
		}
	})
	if slices.Contains(restart, "export") {
		next.config.Export.Destinations = r.o.config.Export.Destinations
	}
	if slices.Contains(restart, "archive") {
		next.config.Archive.Dir = r.o.config.Archive.Dir
	}
	if len(changed) > 0 {
		if err := p.Reload(next.config); err != nil {
			r.log.Error("settings are not reloaded: nothing has changed", "file", r.file, "err", err)
			return
		}
	}
	for _, name := range changed {
		r.now[name] = values(cmd.Flags().Lookup(name))
	}
	r.o.config.Export.Destinations = next.config.Export.Destinations
	r.o.summary = next.summary
	r.setLevel(next.settings.Verbose)
	switch {
	case len(changed) > 0:
		r.log.Info("settings are reloaded", "file", r.file, "changed", strings.Join(changed, ", "))
	case len(restart) == 0:
		r.log.Info("settings are reloaded: nothing has changed", "file", r.file)
	}
	if len(restart) > 0 {
		r.log.Warn("needs a restart: "+strings.Join(restart, ", "), "file", r.file)
	}
}

// read reads the settings as the program's start did. Other files that are named there are not read again.
func (r *reloader) read() (*options, *cobra.Command, error) {
	o, cmd := newOptions()
	for name, values := range r.given {
		f := cmd.Flags().Lookup(name)
		if f == nil {
			continue
		}
		if list, ok := f.Value.(pflag.SliceValue); ok {
			if err := list.Replace(values); err != nil {
				return nil, nil, err
			}
			f.Changed = true
		} else if err := cmd.Flags().Set(name, values[0]); err != nil {
			return nil, nil, err
		}
	}
	o.ipcad.out, o.ipcad.text = func() io.Writer { return io.Discard }, r.o.ipcad.text
	o.bpf.content = r.o.bpf.content
	if err := cli.LoadConfig(cmd, r.file); err != nil {
		return nil, nil, err
	}
	return o, cmd, o.complete(slices.Clone(r.args))
}

// reachable reports whether the process, as it is shut in, can send to the collectors of other settings.
func (r *reloader) reachable(next *options) bool {
	if len(r.o.config.Export.Destinations) == 0 || len(next.config.Export.Destinations) == 0 {
		return false
	}
	if r.o.jail.enter == nil || r.o.jail.off {
		return true
	}
	was, is := r.o.jail.config(&r.o.started), r.o.jail.config(&next.config)
	return (was.Connect || !is.Connect) && (was.Resolve || !is.Resolve)
}

func (r *reloader) setLevel(verbose bool) {
	if verbose {
		r.level.Set(slog.LevelDebug)
	} else {
		r.level.Set(slog.LevelInfo)
	}
}

// catch takes SIGHUP from now on, so that it does not end the process. One that reads files has nothing to reload, and may end.
func (r *reloader) catch() {
	if len(r.o.config.Files) == 0 {
		r.signals = cli.Catch(syscall.SIGHUP)
	}
}

// each calls f for each signal, until stop.
func (r *reloader) each(f func()) {
	if r.signals != nil {
		r.signals.Each(f)
	}
}

func (r *reloader) stop() {
	if r.signals != nil {
		r.signals.Stop()
	}
}
