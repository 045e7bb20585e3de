package export

import (
	"fmt"
	"net"
	"strings"
)

// endpoint is a destination taken apart: [udp://|tcp://|tls://]host:port.
type endpoint struct{ transport, host, port string }

func parseEndpoint(text string) (endpoint, error) {
	e, rest := endpoint{transport: "udp"}, text
	if scheme, after, ok := strings.Cut(text, "://"); ok {
		switch scheme {
		case "udp", "tcp", "tls":
			e.transport, rest = scheme, after
		default:
			return e, fmt.Errorf("destination %q: unknown transport %s: want udp, tcp or tls", text, scheme)
		}
	}
	var err error
	e.host, e.port, err = net.SplitHostPort(rest)
	if err != nil || e.port == "" || strings.ContainsAny(e.port, "/?#") {
		return e, fmt.Errorf("destination %q: want host:port, or tcp://host:port, or tls://host:port", text)
	}
	if e.host == "" && e.stream() {
		return e, fmt.Errorf("destination %q: has no host", text)
	}
	return e, nil
}

// stream reports whether the transport is a connection, with a stream of messages in it.
func (e endpoint) stream() bool { return e.transport != "udp" }
