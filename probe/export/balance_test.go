package export

import "testing"

// TestBalance: each flow goes to one collector, and all are used; with hash both directions of a conversation to the same.
func TestBalance(t *testing.T) {
	for _, balance := range Balances {
		t.Run(balance, func(t *testing.T) {
			servers := make([]*server, 3)
			cfg := Config{Balance: balance}
			for i := range servers {
				servers[i] = startServer(t, "127.0.0.1:0", nil).run()
				cfg.Destinations = append(cfg.Destinations, "tcp://"+servers[i].addr())
			}
			e := open(t, cfg)
			const n = 3000
			at := map[uint64]int{}
			for i := range n {
				r := *numbered(2*i + 1)
				back := r
				back.SrcAddr, back.DstAddr, back.SrcPort, back.DstPort, back.Packets = r.DstAddr, r.SrcAddr, r.DstPort, r.SrcPort, r.Packets+1
				e.Export(second, &r)
				e.Export(second, &back)
			}
			finish(t, e)
			flows := 0
			for i, s := range servers {
				c := s.counts()
				flows += c.flows
				if c.flows < 2*n/4 {
					t.Errorf("collector %d got %d of %d flows", i, c.flows, 2*n)
				}
				for f := range c.seen {
					at[f] = i
				}
			}
			want := 2 * n
			if balance == "none" {
				want *= 3
			}
			if flows != want || len(at) != 2*n {
				t.Errorf("%d flows arrived, want %d; %d different ones", flows, want, len(at))
			}
			if balance == "hash" {
				for i := range n {
					if f := uint64(2*i + 1); at[f] != at[f+1] {
						t.Fatalf("conversation %d went to collectors %d and %d", i, at[f], at[f+1])
					}
				}
			}
		})
	}
}

// TestBalanceOfPieces: what older protocols send as several records is one flow at one collector; all adds up.
func TestBalanceOfPieces(t *testing.T) {
	for _, protocol := range []string{"v9", "v5"} {
		for _, balance := range Balances[1:] {
			e := open(t, Config{Protocol: protocol, Balance: balance, Destinations: []string{"127.0.0.1:9", "[::1]:9"}})
			for i := range 1000 {
				r := *numbered(i)
				r.Bytes = uint64(i) << 25
				if i%2 == 0 {
					r.ReversePackets, r.ReverseBytes = 5, 500
				}
				e.Export(second, &r)
			}
			e.Flush(second)
			s := e.Stats()
			balanced(t, s, balance)
			if s.Given.Flows != 1000 {
				t.Errorf("%+v", s.Given)
			}
		}
	}
}
