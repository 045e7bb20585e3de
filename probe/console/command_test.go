package console

import (
	"errors"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for line, want := range map[string]Command{
		"show ip accounting":            {ShowAccounting, ""},
		"sh ip acco":                    {ShowAccounting, ""},
		"sh ip acco che":                {ShowCheckpoint, ""},
		"sh ip ca flo":                  {ShowCacheFlow, ""},
		"sh in wi0":                     {ShowInterface, "wi0"},
		"show i wi0":                    {ShowInterface, "wi0"},
		"cle ip acco":                   {ClearAccounting, ""},
		"c i a c":                       {ClearCheckpoint, ""},
		"stat":                          {Stat, ""},
		"sta":                           {Stat, ""},
		"status":                        {Stat, ""},
		"sh v":                          {ShowVersion, ""},
		"shut":                          {Shutdown, ""},
		"d":                             {Dump, ""},
		"dump x":                        {Dump, "x"},
		"r /a/b":                        {Restore, "/a/b"},
		"imp":                           {Import, ""},
		"h":                             {Help, ""},
		"show interface show":           {ShowInterface, "show"},
		"clear ip accounting checkpoin": {ClearCheckpoint, ""},
	} {
		if got, err := Parse(strings.Fields(line)); err != nil || got != want {
			t.Errorf("%q: %+v, error %v, want %+v", line, got, err, want)
		}
	}
	for line, want := range map[string]error{
		"": ErrUnknown, "x": ErrUnknown, "shows": ErrUnknown,
		"s": ErrAmbiguous, "sh": ErrAmbiguous, "st": nil, "sh i": ErrAmbiguous,
		"show ip": ErrArgument, "show interface": ErrArgument, "clear": ErrArgument, "show ip accounting now": ErrArgument, "dump a b": ErrArgument,
		"shutdown now": ErrArgument, "show ip accounting checkpoint x": ErrArgument, "help me": ErrArgument,
	} {
		if _, err := Parse(strings.Fields(line)); !errors.Is(err, want) {
			t.Errorf("%q: error %v, want %v", line, err, want)
		}
	}
}

// FuzzParse: a command that was understood is understood in full words too, and means the same.
func FuzzParse(f *testing.F) {
	for _, g := range grammar {
		f.Add(g.words + " x")
		f.Add(g.words)
	}
	f.Add("sh ip acco che")
	f.Fuzz(func(t *testing.T, line string) {
		words := strings.Fields(line)
		c, err := Parse(words)
		if err != nil {
			if !errors.Is(err, ErrUnknown) && !errors.Is(err, ErrAmbiguous) && !errors.Is(err, ErrArgument) {
				t.Error(err)
			}
			return
		}
		for _, g := range grammar {
			if g.verb != c.Verb || g.words == "status" {
				continue
			}
			full := append(strings.Fields(g.words), strings.Fields(c.Arg)...)
			if again, err := Parse(full); err != nil || again != c {
				t.Errorf("%q is %+v; %q is %+v, error %v", words, c, full, again, err)
			}
			for i, w := range strings.Fields(g.words) {
				if c.Verb != Stat && !strings.HasPrefix(w, words[i]) {
					t.Errorf("%q is %+v", words, c)
				}
			}
		}
	})
}
