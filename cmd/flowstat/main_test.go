package main

import (
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/caprock-net/caprock/cmd/internal/flowtest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"flowstat": main})
}

func TestSessions(t *testing.T) { flowtest.Run(t) }
