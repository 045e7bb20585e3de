// Command probe meters packets from interfaces or capture files and exports flows to collectors.
package main

import (
	"os"

	"github.com/caprock-net/caprock/cmd/internal/cli"
)

func main() { os.Exit(cli.Main(newCommand())) }
