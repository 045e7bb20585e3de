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
}

// addr returns the address of a number.
func (n *addrNumbers) addr(number uint64) wide {
	return n.shards[number%addrShards].addrs[number/addrShards]
}

var errTooManyAddresses = errors.New("too many addresses to group by")

// find returns the place of an address, which is added if it is new.
func (s *addrShard) find(a wide, hash uint64) int {
	if 2*len(s.addrs) >= len(s.slots) {
		s.slots = growSlots(s.slots)
	}
	mask := uint64(len(s.slots) - 1)
	tag := hash << 32
	for i := hash & mask; ; i = (i + 1) & mask {
		slot := s.slots[i]
		if slot == 0 {
			s.addrs = append(s.addrs, a)
			s.slots[i] = tag | uint64(len(s.addrs))
			return len(s.addrs) - 1
		}
		if slot>>32 != tag>>32 {
			continue
		}
		if at := int(uint32(slot)) - 1; s.addrs[at] == a {
			return at
		}
	}
}

// numbering is a worker's scratch memory for asking.
type numbering struct {
	hashes []uint64
	order  []uint32
	used   []uint8
}

// number sets numbers to the numbers of addrs. If codes is not nil it lists the addresses that are wanted.
func (s *numbering) number(all *addrNumbers, addrs []wide, codes []uint32, numbers []uint64) error {
	used := resize(&s.used, len(addrs))
	for i := range used {
		used[i] = 1
	}
	if codes != nil {
		clear(used)
		for _, code := range codes {
			used[code] = 1
		}
	}
	// Addresses are looked up shard by shard, so that a lock is taken once.
	var next [addrShards + 1]int
	hashes := resize(&s.hashes, len(addrs))
	for i, a := range addrs {
		h := mix(mix(addrSeeds[0], a.hi, addrSeeds[1]), a.lo, addrSeeds[2])
		hashes[i] = h
		next[h>>(64-addrShardBits)+1] += int(used[i])
	}
	for i := range addrShards {
		next[i+1] += next[i]
	}
	order := resize(&s.order, next[addrShards])
	for i, h := range hashes {
		if used[i] != 0 {
			at := &next[h>>(64-addrShardBits)]
			order[*at] = uint32(i)
			*at++
		}
	}
	for done := 0; done < len(order); {
		number := hashes[order[done]] >> (64 - addrShardBits)
		shard := &all.shards[number]
		end := next[number]
		shard.mu.Lock()
		for _, i := range order[done:end] {
			numbers[i] = uint64(shard.find(addrs[i], hashes[i]))<<addrShardBits | number
		}
		n := len(shard.addrs)
		shard.mu.Unlock()
		if n > 1<<(32-addrShardBits) {
			return errTooManyAddresses
		}
		done = end
	}
	return nil
}

// addrSeeds are for hashes of addresses what hashSeeds are for hashes of keys.
var addrSeeds = [3]uint64{rand.Uint64(), rand.Uint64() | 1, rand.Uint64() | 1}
