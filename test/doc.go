// Package test holds what needs whole programs: the path from packets to printed lines, other people's exporters and
// collectors, crashes, network namespaces, and the direction of imports.
//
// The programs are built once (see TestMain); what a machine lacks makes a test skip and say why. The folders duckdb and
// goflow2 are modules of their own, for judges that the product must not depend on; scripts/test runs them.
package test
