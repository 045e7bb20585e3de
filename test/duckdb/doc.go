// Package duckdb reads the collector's files with DuckDB, an engine that shares no code with it. It is a module of its own
// because DuckDB needs cgo, which the product stays free of.
package duckdb
