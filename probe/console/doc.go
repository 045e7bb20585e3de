// Package console answers IPCAD's commands about a running probe: the accounting table, the flow cache, interfaces and
// statistics, in IPCAD's own layouts, and dump, restore, import, clear and shutdown.
//
//	probe ctl ──▶ unix socket ─┐
//	                           ├─▶ Parse ─▶ Console.Execute ─▶ text or JSON
//	rsh ────────▶ rcmd, TCP ───┘
//
// [Parse] knows the language and nothing else; [Console.Execute] runs one command for one [Session], whose [Level] says what
// it may; the transports only carry bytes. At the unix socket, mode 0600, everything is allowed: its clients could as well
// kill the probe. The rcmd protocol proves nothing but a port and an address; it is off unless it is asked for, and has
// access rules.
package console
