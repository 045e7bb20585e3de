package cli

import (
	"syscall"
	"testing"
	"time"
)

func TestSignals(t *testing.T) {
	s := Catch(syscall.SIGUSR1)
	defer s.Stop()
	if err := syscall.Kill(syscall.Getpid(), syscall.SIGUSR1); err != nil { // before anybody handles it
		t.Fatal(err)
	}
	got := make(chan bool)
	s.Each(func() { got <- true })
	for range 2 {
		select {
		case <-got:
		case <-time.After(10 * time.Second):
			t.Fatal("the signal is not handled")
		}
		if err := syscall.Kill(syscall.Getpid(), syscall.SIGUSR1); err != nil {
			t.Fatal(err)
		}
	}
	<-got
	s.Stop()
	s.Stop() // again does no harm
}
