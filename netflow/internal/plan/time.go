package plan

import (
	"encoding/binary"

	"github.com/caprock-net/caprock/netflow"
	"github.com/caprock-net/caprock/netflow/internal/wire"
)

const (
	ntpUnix  = 2208988800           // seconds from 1900 to 1970
	maxMilli = 253402300799999      // the end of the year 9999: what is later is not a time
	maxSpan  = 100 * 365 * 86400e6  // µs: no flow lasts longer
	eraMicro = int64(1) << 32 * 1e6 // an NTP era, 2^32 seconds
)

// loadTime reads absolute times, and times before the message's export time.
func loadTime(dst []netflow.Timestamp, r *rows, code opcode, ctx *Context) {
	if r.width == 0 {
		return
	}
	if code == opMilli && r.width == 8 && r.when == 0 {
		data, at, stride := r.data, r.off, r.stride
		for i := range dst {
			if v := binary.BigEndian.Uint64(data[at : at+8]); v <= maxMilli {
				dst[i] = netflow.Timestamp(v * 1000)
			}
			at += stride
		}
		return
	}
	for i := range dst {
		if r.when == whenZero && dst[i] != 0 {
			continue
		}
		dst[i] = timestamp(r.value(i), code, ctx)
	}
}

// timestamp reads a time; zero and what is beyond the year 9999 are not told.
func timestamp(b []byte, code opcode, ctx *Context) netflow.Timestamp {
	v := wire.Uint(b)
	switch {
	case v == 0 && code != opDelta:
		return 0
	case code == opSecond && v <= maxMilli/1000:
		return netflow.Timestamp(v * 1e6)
	case code == opMilli && v <= maxMilli:
		return netflow.Timestamp(v * 1000)
	case code == opNTP:
		return ntp(v)
	case code == opDelta && v < maxSpan: // flowStartDeltaMicroseconds, flowEndDeltaMicroseconds
		return ctx.Export - netflow.Timestamp(v)
	}
	return 0
}

// ntp reads the 8 bytes of dateTimeMicroseconds and dateTimeNanoseconds: seconds since 1900 and a binary fraction, rounded
// to microseconds (RFC 7011 sections 6.1.9 and 6.1.10). Seconds that would be before 1970 are of the era that begins in
// 2036.
func ntp(v uint64) netflow.Timestamp {
	seconds, fraction := int64(v>>32), v&0xffffffff
	t := (seconds-ntpUnix)*1e6 + int64((fraction*1e6+1<<31)>>32)
	if seconds < ntpUnix {
		t += eraMicro
	}
	return netflow.Timestamp(t)
}

// loadTwinMillis reads the start and the end of flows in milliseconds since 1970.
func loadTwinMillis(start, end []netflow.Timestamp, data []byte, stride int, f fields) {
	at, at2 := int(f.first), int(f.second)
	end = end[:len(start)]
	for i := range start {
		first, last := binary.BigEndian.Uint64(data[at:at+8]), binary.BigEndian.Uint64(data[at2:at2+8])
		if first > maxMilli {
			first = 0
		}
		if last > maxMilli {
			last = 0
		}
		start[i], end[i] = netflow.Timestamp(first*1000), netflow.Timestamp(last*1000)
		at, at2 = at+stride, at2+stride
	}
}

// uptimes reads times in milliseconds since the exporter booted. The difference to the uptime of the header is a signed
// 32-bit number, so that it is right when the counter wraps between the two (RFC 3954 section 5.1). A record may bring
// the time of the boot itself, systemInitTimeMilliseconds. It returns how many rows cannot be dated.
func (p *Plan) uptimes(dst []netflow.Timestamp, r *rows, ctx *Context) (undated int) {
	if r.width == 0 {
		return 0
	}
	data, at, stride := r.data, r.off, r.stride
	if r.when == 0 && r.width == 4 && ctx.HasUptime && !p.has(roleInitTime) {
		export, uptime := int64(ctx.Export), ctx.Uptime
		for i := range dst {
			dst[i] = netflow.Timestamp(export - int64(int32(uptime-binary.BigEndian.Uint32(data[at:at+4])))*1000)
			at += stride
		}
		return 0
	}
	for i := range dst {
		if r.when == whenZero && dst[i] != 0 {
			continue
		}
		uptime, known := ctx.Uptime, ctx.HasUptime
		if boot := p.number(roleInitTime, data[i*stride:(i+1)*stride]); boot != 0 && boot <= maxMilli {
			uptime, known = UptimeAt(ctx.Export, int64(boot)), true
		}
		if !known {
			undated++
			continue
		}
		// Of 8-byte uptimes the low half is enough: flows are exported less than 24 days after they end.
		dst[i] = ctx.Export - netflow.Timestamp(int32(uptime-uint32(wire.Uint(r.value(i)))))*1000
	}
	return undated
}

// loadTwinUptimes is uptimes for the start and the end of flows that tell both in 4 bytes, and not the time of the boot.
func loadTwinUptimes(start, end []netflow.Timestamp, data []byte, stride int, f fields, ctx *Context) (undated int) {
	if !ctx.HasUptime {
		return len(start)
	}
	at, at2 := int(f.first), int(f.second)
	export, uptime := int64(ctx.Export), ctx.Uptime
	end = end[:len(start)]
	for i := range start {
		start[i] = netflow.Timestamp(export - int64(int32(uptime-binary.BigEndian.Uint32(data[at:at+4])))*1000)
		end[i] = netflow.Timestamp(export - int64(int32(uptime-binary.BigEndian.Uint32(data[at2:at2+4])))*1000)
		at, at2 = at+stride, at2+stride
	}
	return 0
}

// UptimeAt returns the uptime at t of an exporter that booted at the given unix time in milliseconds.
func UptimeAt(t netflow.Timestamp, boot int64) uint32 { return uint32(int64(t)/1000 - boot) }

// spans completes the times of rows: a duration gives the missing end or start, an event (NAT, firewall) without flow
// times happens at one moment, and of a flow with only one time told the other is the same.
func (p *Plan) spans(start, end []netflow.Timestamp, data []byte, stride int) {
	for i := range start {
		if start[i] != 0 && end[i] != 0 {
			continue
		}
		record := data[i*stride : (i+1)*stride]
		if start[i] == 0 && end[i] == 0 {
			end[i] = p.event(record)
		}
		duration := p.number(roleDurationMicro, record)
		if duration == 0 {
			duration = p.number(roleDurationMilli, record)
			duration = min(duration, maxSpan) * 1000
		}
		duration = min(duration, maxSpan)
		switch {
		case start[i] != 0 && end[i] == 0:
			end[i] = start[i] + netflow.Timestamp(duration)
		case start[i] == 0 && end[i] != 0:
			start[i] = end[i] - netflow.Timestamp(duration)
		}
	}
}

// event reads the time at which the thing happened that a record reports.
func (p *Plan) event(record []byte) netflow.Timestamp {
	for _, r := range events {
		code := opMilli
		switch r {
		case roleEventNano, roleEventMicro:
			code = opNTP
		case roleEventSecond:
			code = opSecond
		}
		if b := p.value(r, record); len(b) > 0 {
			if t := timestamp(b, code, nil); t != 0 {
				return t
			}
		}
	}
	return 0
}
