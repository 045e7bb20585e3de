package query

import (
	"errors"
	"math/rand/v2"
	"sync"
)

// addrNumbers gives each distinct address that a query groups by a number below 1<<32, so that a key has 4 bytes for it
// instead of 16. A worker asks once for each address in a chunk's dictionary.
type addrNumbers struct {
	shards [addrShards]addrShard
}

// addrShards is into how many parts addresses are divided by the upper bits of their hash, so that workers seldom meet at
// a lock. The lower bits of a number are the shard's.
const (
	addrShardBits = 6
	addrShards    = 1 << addrShardBits
)

// addrShard holds the addresses of a shard: slots of an open-addressing hash table that point to addrs.
type addrShard struct {
	mu    sync.Mutex
	slots []uint64 // lower 32 bits of the hash << 32 | place in addrs + 1; 0 is free
	addrs []wide

	touched uint64 // keeps the compiler from leaving a first look out
}

// addrNumber is the number of the address at a place in a shard.
func addrNumber(shard, place int) uint64 { return uint64(place)<<addrShardBits | uint64(shard) }

// addr returns the address of a number.
func (n *addrNumbers) addr(number uint64) wide {
	return n.shards[number%addrShards].addrs[number/addrShards]
}

var errTooManyAddresses = errors.New("too many addresses to group by")

// find sets places to where the addresses that l lists are in s, whose lock is held. New ones are added.
func (s *addrShard) find(l *addrList, list []uint32, places []uint32) error {
	for 2*(len(s.addrs)+len(list)) > len(s.slots) {
		s.slots = growSlots(s.slots)
	}
	mask := uint64(len(s.slots) - 1)
	// A first look at all of them lets the processor wait for many cache lines at a time.
	for j, i := range list {
		places[j] = uint32(s.slots[l.hashes[i]&mask])
	}
	var touched uint64
	for _, place := range places[:len(list)] {
		if place != 0 {
			touched |= s.addrs[place-1].lo
		}
	}
	s.touched = touched
	for j, i := range list {
		a, hash := l.addrs[i], l.hashes[i]
		tag := hash << 32
		for at := hash & mask; ; at = (at + 1) & mask {
			slot := s.slots[at]
			if slot == 0 {
				if len(s.addrs) == 1<<(32-addrShardBits) {
					return errTooManyAddresses
				}
				s.addrs = append(s.addrs, a)
				s.slots[at] = tag | uint64(len(s.addrs))
				places[j] = uint32(len(s.addrs) - 1)
				break
			}
			if place := uint32(slot) - 1; slot>>32 == tag>>32 && s.addrs[place] == a {
				places[j] = place
				break
			}
		}
	}
	return nil
}

// addrList is addresses to be looked up, in the order of their shards so that a lock is taken once.
type addrList struct {
	addrs  []wide
	hashes []uint64
	order  []uint32        // places in addrs, those of the first shard first
	ends   [addrShards]int // in order
	places []uint32        // in the shard
	wanted []uint8         // 1 for those of addrs that are in order
}

// begin starts a list of addrs. It returns a flag for each, to be set to 1 for those that are wanted and 0 for others before
// sort is called.
func (l *addrList) begin(addrs []wide) (wanted []uint8) {
	l.addrs = addrs
	return resize(&l.wanted, len(addrs))
}

// sort puts the wanted addresses in order.
func (l *addrList) sort() {
	hashes := resize(&l.hashes, len(l.addrs))
	l.ends = [addrShards]int{}
	for i, a := range l.addrs {
		h := mix(mix(addrSeeds[0], a.hi, addrSeeds[1]), a.lo, addrSeeds[2])
		hashes[i] = h
		l.ends[h>>(64-addrShardBits)] += int(l.wanted[i])
	}
	total := 0
	for i, n := range l.ends {
		l.ends[i] = total // where the shard begins, for now
		total += n
	}
	order := resize(&l.order, total)
	for i, h := range hashes {
		if l.wanted[i] != 0 {
			at := &l.ends[h>>(64-addrShardBits)]
			order[*at] = uint32(i)
			*at++
		}
	}
	resize(&l.places, total)
}

// visit looks the listed addresses up, shard by shard, and calls do with what it found while the shard's lock is held.
func (l *addrList) visit(all *addrNumbers, do func(shard int, list, places []uint32) error) error {
	from := 0
	for i, end := range l.ends {
		if from == end {
			continue
		}
		shard, list, places := &all.shards[i], l.order[from:end], l.places[from:end]
		shard.mu.Lock()
		err := shard.find(l, list, places)
		if err == nil {
			err = do(i, list, places)
		}
		shard.mu.Unlock()
		if err != nil {
			return err
		}
		from = end
	}
	return nil
}

// numbers sets numbers to the numbers of addrs: all, or those that codes point to if that is not nil.
func (l *addrList) numbers(all *addrNumbers, addrs []wide, codes []uint32, numbers []uint64) error {
	wanted := l.begin(addrs)
	if codes == nil {
		for i := range wanted {
			wanted[i] = 1
		}
	} else {
		clear(wanted)
		for _, code := range codes {
			wanted[code] = 1
		}
	}
	l.sort()
	return l.visit(all, func(shard int, list, places []uint32) error {
		for j, i := range list {
			numbers[i] = addrNumber(shard, int(places[j]))
		}
		return nil
	})
}

// addrSeeds are for hashes of addresses what hashSeeds are for hashes of keys.
var addrSeeds = [3]uint64{rand.Uint64(), rand.Uint64() | 1, rand.Uint64() | 1}
