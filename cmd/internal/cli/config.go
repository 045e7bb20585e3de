package cli

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/spf13/viper"
	"go.yaml.in/yaml/v3"
)

// metaFlags are the flags that make no sense in a configuration file.
var metaFlags = []string{"help", "version", "completion", "man", "config", "check-config", "print-config"}

// LoadConfig gives values to the flags that were not set on the command line: from the environment (CAPROCK_ and the
// flag's name in capitals, - as _), else from the YAML file, whose keys are the flags' names. An empty file name means
// no file. A key that is no flag is an error, and so is a value that the flag does not take; all complaints come at once.
func LoadConfig(cmd *cobra.Command, file string) error {
	v := viper.New()
	v.SetEnvPrefix("CAPROCK")
	v.SetEnvKeyReplacer(strings.NewReplacer("-", "_"))
	v.AutomaticEnv()
	if file != "" {
		v.SetConfigFile(file)
		v.SetConfigType("yaml")
		if err := v.ReadInConfig(); err != nil {
			return fmt.Errorf("configuration %s: %w", file, err)
		}
	}
	var complaints []error
	for _, key := range v.AllKeys() {
		if f := cmd.Flags().Lookup(key); f == nil || slices.Contains(metaFlags, key) {
			complaints = append(complaints, fmt.Errorf("configuration %s: unknown key %q", file, key))
		}
	}
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if f.Changed || slices.Contains(metaFlags, f.Name) || !v.IsSet(f.Name) {
			return
		}
		values := []string{v.GetString(f.Name)}
		list, isList := f.Value.(pflag.SliceValue)
		if isList {
			values = v.GetStringSlice(f.Name)
		}
		var err error
		if isList {
			err = list.Replace(values)
			f.Changed = f.Changed || err == nil
		} else {
			err = cmd.Flags().Set(f.Name, values[0])
		}
		if err != nil {
			complaints = append(complaints, fmt.Errorf("configuration: %s: %w", f.Name, err))
		}
	})
	if len(complaints) > 0 {
		return Exit(StatusUsage, errors.Join(complaints...))
	}
	return nil
}

// PrintConfig writes the values of all flags as a file that LoadConfig reads.
func PrintConfig(cmd *cobra.Command, w io.Writer) error {
	values := yaml.Node{Kind: yaml.MappingNode}
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if slices.Contains(metaFlags, f.Name) {
			return
		}
		_, usage := pflag.UnquoteUsage(f)
		key := &yaml.Node{Kind: yaml.ScalarNode, Value: f.Name, HeadComment: usage}
		value := &yaml.Node{Kind: yaml.ScalarNode, Value: f.Value.String()}
		if list, ok := f.Value.(pflag.SliceValue); ok {
			value = &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
			for _, s := range list.GetSlice() {
				value.Content = append(value.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: s})
			}
		} else if value.Value == "" {
			value.Style = yaml.DoubleQuotedStyle
		}
		values.Content = append(values.Content, key, value)
	})
	if len(values.Content) == 0 {
		return nil
	}
	e := yaml.NewEncoder(w)
	e.SetIndent(2)
	if err := e.Encode(&values); err != nil {
		return err
	}
	return e.Close()
}
