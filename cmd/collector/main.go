// Command collector receives NetFlow v1, v5, v7, v9 and IPFIX and keeps the flows in Parquet files, one for each hour.
package main

import (
	"os"

	"github.com/caprock-net/caprock/cmd/internal/cli"
)

func main() { os.Exit(cli.Main(newCommand())) }
