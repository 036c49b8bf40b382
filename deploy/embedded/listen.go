package embedded

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"syscall"
)

// listenLoopback opens the address or says in one line what is wrong with it. It refuses every
// address that another machine could reach: these servers are for one developer on one machine.
func listenLoopback(what, address string) (net.Listener, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("%s address %q is not host:port, such as 127.0.0.1:8123", what, address)
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return nil, fmt.Errorf("%s address %q has no port between 0 and 65535", what, address)
	}
	if host == "localhost" {
		host = "127.0.0.1"
	}
	ip := net.ParseIP(host)
	if ip == nil || !ip.IsLoopback() {
		return nil, fmt.Errorf("%s address %q is not loopback: the embedded servers listen on "+
			"127.0.0.1 only; use a real server for other machines", what, address)
	}
	listener, err := net.Listen("tcp", net.JoinHostPort(host, port))
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("%s port %s is in use: stop what listens there or choose another port",
			what, port)
	}
	if err != nil {
		return nil, fmt.Errorf("%s cannot listen on %s: %w", what, address, err)
	}
	return listener, nil
}
