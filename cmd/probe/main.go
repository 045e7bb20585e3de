// Command probe meters packets from interfaces or capture files and exports flows to collectors.
package main

import (
	"os"

	"github.com/caprock-net/caprock/cmd/internal/cli"
	"github.com/caprock-net/caprock/probe/sandbox"
)

func main() {
	o, cmd := newOptions()
	o.jail.enter = sandbox.Enter
	os.Exit(cli.Main(cmd))
}
