package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/pflag"

	"github.com/caprock-net/caprock/probe"
	"github.com/caprock-net/caprock/probe/filter"
)

// bpf are the flags that choose the packets to meter.
type bpf struct {
	text string
	file string

	content string // of the file, when it has been read
}

func (b *bpf) register(f *pflag.FlagSet) {
	f.StringVar(&b.text, "bpf", "", "meter only packets that match `EXPRESSION`, in tcpdump's language")
	f.StringVar(&b.file, "bpf-file", "", "read the expression, or what tcpdump -ddd prints, from `FILE`")
}

// apply reads the filter.
func (b *bpf) apply(c *probe.Config) error {
	var err error
	switch {
	case b.text != "" && b.file != "":
		return errors.New("filter: --bpf or --bpf-file, not both")
	case b.text != "":
		if c.Filter, err = filter.Parse(b.text); err != nil {
			return fmt.Errorf("--bpf: %w", err)
		}
	case b.file != "":
		if b.content == "" {
			b.content, err = readFilter(b.file)
		}
		if err == nil {
			c.Filter, err = filter.ParseText(b.content)
		}
		if err != nil {
			return fmt.Errorf("--bpf-file %s: %w", b.file, err)
		}
	}
	return nil
}

// readFilter reads a file that is no longer than a filter can be: 4096 instructions are longer than MaxText.
func readFilter(name string) (string, error) {
	const most = 4 * filter.MaxText
	f, err := os.Open(name)
	if err != nil {
		var p *os.PathError
		if errors.As(err, &p) {
			err = p.Err
		}
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && len(text) > most {
		err = fmt.Errorf("larger than %d bytes", most)
	}
	return string(text), err
}
