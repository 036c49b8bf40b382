package chaos

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"time"
)

// echo is a server that answers every line with the same line, and tells what it got on a
// connection once that has ended.
type echo struct {
	net.Listener
	got chan string
}

func startEcho(t *testing.T) *echo {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	e := &echo{listener, make(chan string, 10)}
	go func() {
		for conn, err := listener.Accept(); err == nil; conn, err = listener.Accept() {
			go e.serve(conn)
		}
	}()
	return e
}

func (e *echo) serve(conn net.Conn) {
	defer conn.Close() //nolint:errcheck // read to its end
	lines, got := bufio.NewReader(conn), ""
	for {
		line, err := lines.ReadString('\n')
		got += line
		if err != nil {
			e.got <- got
			return
		}
		_, _ = io.WriteString(conn, line)
	}
}

// ask sends a request over a new connection through the proxy, and gives what came back until the
// answer was whole or the connection ended.
func ask(t *testing.T, p *proxy, request string) (answer string) {
	t.Helper()
	conn, err := net.Dial("tcp", p.addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close() //nolint:errcheck // read to its end
	if _, err := conn.Write([]byte(request)); err != nil {
		t.Fatal(err)
	}
	back := make([]byte, len(request))
	n, err := io.ReadFull(conn, back)
	for _, end := range []error{nil, io.EOF, io.ErrUnexpectedEOF, syscall.ECONNRESET} {
		if errors.Is(err, end) {
			return string(back[:n])
		}
	}
	t.Fatal(err)
	return ""
}

// TestProxy tells what the server gets of a request and what the client gets of the answer.
func TestProxy(t *testing.T) {
	const request = "INSERT of rows\n"
	const half = "INSERT "
	isInsert := func(head []byte) bool { return bytes.HasPrefix(head, []byte("INSERT")) }
	for name, c := range map[string]struct {
		arm      func(*proxy)
		got      string // by the server
		answered string
	}{
		"nothing":           {func(*proxy) {}, request, request},
		"cut in a request":  {func(p *proxy) { p.add(cut{inRequest, isInsert}) }, half, ""},
		"lost answer":       {func(p *proxy) { p.add(cut{beforeAnswer, isInsert}) }, request, ""},
		"cut in the answer": {func(p *proxy) { p.add(cut{inAnswer, isInsert}) }, request, half},
		"cut of another":    {func(p *proxy) { p.add(cut{beforeAnswer, isJoin}) }, request, request},
		"refusal":           {func(p *proxy) { p.refuse(&refusal{isInsert, []byte("no")}) }, "", "no"},
		"slow":              {func(p *proxy) { p.slow(time.Millisecond) }, request, request},
		"healed": {func(p *proxy) {
			p.add(cut{beforeAnswer, isInsert})
			p.refuse(&refusal{isInsert, []byte("no")})
			p.heal()
		}, request, request},
	} {
		t.Run(name, func(t *testing.T) {
			server := startEcho(t)
			p, err := startProxy(server.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer p.close()
			c.arm(p)
			if answered := ask(t, p, request); answered != c.answered {
				t.Errorf("the client got %q, not %q", answered, c.answered)
			}
			if got := <-server.got; got != c.got {
				t.Errorf("the server got %q, not %q", got, c.got)
			}
		})
	}
}

var isJoin = kafkaRequest(joinRequest)

// TestProxyCutsOnce: a cut is used up by the first exchange that it fits, and a request that comes
// after an answer on the same connection is looked at anew.
func TestProxyCutsOnce(t *testing.T) {
	server := startEcho(t)
	p, err := startProxy(server.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	conn, err := net.Dial("tcp", p.addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close() //nolint:errcheck // read to its end
	p.add(cut{beforeAnswer, insert})
	back := make([]byte, 64)
	for _, request := range []string{"SELECT 1\n", "INSERT 2\n"} {
		if _, err := conn.Write([]byte(request)); err != nil {
			t.Fatal(err)
		}
		n, err := conn.Read(back)
		if request == "SELECT 1\n" && (err != nil || string(back[:n]) != request) {
			t.Errorf("the answer to what no cut fits is %q, %v", back[:n], err)
		}
		if request == "INSERT 2\n" && err == nil {
			t.Errorf("the answer that is cut off came: %q", back[:n])
		}
	}
	if answer := ask(t, p, "INSERT 3\n"); answer != "INSERT 3\n" {
		t.Errorf("the cut happened twice: %q", answer)
	}
}
