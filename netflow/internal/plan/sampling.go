package plan

import (
	"encoding/binary"
	"math"

	"github.com/caprock-net/caprock/netflow"
)

// Values is what a record of options data, or a flow record, says about sampling and clocks. Zero: it does not say.
type Values struct {
	Rate     uint32 // one packet in Rate is metered
	Sampler  uint64 // samplerId (48) or selectorId (302)
	InitTime int64  // systemInitTimeMilliseconds (160)
}

func (p *Plan) values(record []byte) Values {
	v := Values{Rate: p.rate(record), Sampler: p.sampler(record)}
	if t := p.number(roleInitTime, record); t <= maxMilli {
		v.InitTime = int64(t)
	}
	return v
}

func (p *Plan) sampler(record []byte) uint64 {
	if id := p.number(roleSelectorID, record); id != 0 {
		return id
	}
	return p.number(roleSamplerID, record)
}

// rate computes the sampling rate from the elements of RFC 5477 section 8.2 and their predecessors: n out of N, so many
// packets out of so many (305 taken, 306 left out), a probability, samplingInterval (34), samplerRandomInterval (50).
// samplingPacketInterval (305) alone is what IOS XR sends for the N of 1 out of N.
func (p *Plan) rate(record []byte) uint32 {
	number := func(r role) uint64 { return p.number(r, record) }
	taken, space := number(roleSamplingPackets), number(roleSamplingSpace)
	if size, population := number(roleSamplingSize), number(roleSamplingPopulation); size > 0 && population >= size {
		return saturate((population + size/2) / size)
	}
	if taken > 0 && p.has(roleSamplingSpace) {
		return saturate((taken + min(space, math.MaxUint64-taken)) / taken)
	}
	if x := p.probability(record); x > 0 && x <= 1 {
		return saturate(uint64(min(math.Round(1/x), math.MaxUint32)))
	}
	for _, r := range []role{roleSamplingInterval, roleSamplerInterval} {
		if v := number(r); v > 0 {
			return saturate(v)
		}
	}
	return saturate(taken)
}

func (p *Plan) probability(record []byte) float64 {
	switch b := p.value(roleSamplingProbability, record); len(b) {
	case 4:
		return float64(math.Float32frombits(binary.BigEndian.Uint32(b)))
	case 8:
		return math.Float64frombits(binary.BigEndian.Uint64(b))
	}
	return 0
}

func saturate(v uint64) uint32 { return uint32(min(v, math.MaxUint32)) }

// sampling sets the rate of rows that name one, or a sampler whose rate is known.
func (p *Plan) sampling(b *netflow.Batch, from, to int, data []byte, stride int, ctx *Context) {
	var lastID uint64
	var lastRate uint32
	told := p.has(roleSamplingInterval) || p.has(roleSamplingPackets) || p.has(roleSamplingPopulation) ||
		p.has(roleSamplingProbability) || p.has(roleSamplerInterval)
	for i := from; i < to; i++ {
		record := data[(i-from)*stride : (i-from+1)*stride]
		var rate uint32
		if told {
			rate = p.rate(record)
		}
		if rate == 0 {
			if id := p.sampler(record); id != 0 {
				if id != lastID {
					lastID, lastRate = id, ctx.Samplers[id]
				}
				rate = lastRate
			}
		}
		if rate != 0 {
			b.Extend(0, 1<<netflow.SamplingRate)
			b.SamplingRate[i] = rate
		}
	}
}
