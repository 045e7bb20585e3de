package console

import (
	"fmt"
	"io"
	"time"
)

// Statistics is what stat prints.
type Statistics struct {
	Sources     []SourceStatistics `json:"interfaces"`
	Entries     int                `json:"flow_entries"`
	Cached      *int               `json:"netflow_cached_flows,omitempty"` // nil: nothing is exported
	MemoryUsed  int64              `json:"memory_used"`
	MemoryLimit int64              `json:"memory_limit"` // 0: none
	FreeSlots   int                `json:"free_slots"`
	Uptimes
}

// SourceStatistics is an interface or file in Statistics.
type SourceStatistics struct {
	Name             string `json:"name"`
	Down             bool   `json:"down"`
	Received         uint64 `json:"received"`
	BytesPerSecond   uint64 `json:"bytes_per_second"`
	PacketsPerSecond uint64 `json:"packets_per_second"`
	Dropped          uint64 `json:"dropped"`
}

// Uptimes are those of the probe and of the machine; what is not known is zero.
type Uptimes struct {
	Probe   Seconds `json:"uptime"`
	Host    string  `json:"host"`
	Machine Seconds `json:"host_uptime"`
}

// Seconds is a duration that JSON has as whole seconds.
type Seconds time.Duration

// MarshalJSON implements json.Marshaler.
func (s Seconds) MarshalJSON() ([]byte, error) {
	return fmt.Appendf(nil, "%d", time.Duration(s)/time.Second), nil
}

// WriteText writes the statistics as IPCAD does.
func (s *Statistics) WriteText(w io.Writer) error {
	var b []byte
	line := func(format string, args ...any) { b = fmt.Appendf(b, format+"\n", args...) }
	for _, i := range s.Sources {
		if i.Down {
			line("Interface %s: DOWN", i.Name)
			continue
		}
		line("Interface %s: received %d, 5 m average %d bytes/sec, %d pkts/sec, dropped %d",
			i.Name, i.Received, i.BytesPerSecond, i.PacketsPerSecond, i.Dropped)
	}
	line("Flow entries made: %d", s.Entries)
	if s.Cached != nil {
		line("NetFlow cached flows: %d", *s.Cached)
	}
	if s.MemoryLimit > 0 {
		line("Memory usage: %d%% (%d from %d)", s.MemoryUsed*100/s.MemoryLimit, s.MemoryUsed, s.MemoryLimit)
	} else {
		line("Memory usage: %d kbytes.", s.MemoryUsed>>10)
	}
	line("Free slots for rsh clients: %d", s.FreeSlots)
	b = s.Uptimes.append(b)
	_, err := w.Write(b)
	return err
}

func (u *Uptimes) append(b []byte) []byte {
	b = fmt.Appendf(b, "IPCAD uptime is%s\n", uptime(time.Duration(u.Probe)))
	if u.Host != "" && u.Machine > 0 {
		b = fmt.Appendf(b, "%s uptime is%s\n", u.Host, uptime(time.Duration(u.Machine)))
	}
	return b
}

// uptime writes a duration as IPCAD does, with the blank before it; the comma after whole hours is its own.
func uptime(d time.Duration) string {
	seconds := int64(max(d, 0) / time.Second)
	days, hours, minutes := seconds/86400, seconds/3600%24, seconds/60%60
	count := func(n int64, unit string) string {
		if n > 1 {
			unit += "s"
		}
		return fmt.Sprintf(" %d %s", n, unit)
	}
	text := ""
	if days > 0 {
		text = count(days, "day")
	}
	switch {
	case hours > 0 && minutes > 0:
		text += fmt.Sprintf(" %2d:%02d", hours, minutes)
	case hours > 0:
		text += count(hours, "hour") + ","
	case minutes > 0:
		text += count(minutes, "minute")
	default:
		text += count(seconds%60, "second")
	}
	return text
}
