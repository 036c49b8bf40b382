package chaos

import (
	"bytes"
	"encoding/binary"
	"net"
	"sync"
	"time"
)

// point says where in an exchange a connection is cut.
type point int

const (
	inRequest    point = iota // the server gets a part of the request
	beforeAnswer              // the server has done what was asked, and nobody hears of it
	inAnswer                  // the client gets a part of the answer
)

// cut ends one connection at a point of an exchange.
type cut struct {
	at    point
	match func(request []byte) bool // looks at the beginning of a request
}

// refusal answers requests in the server's place.
type refusal struct {
	match  func(request []byte) bool
	answer []byte
}

// proxy passes TCP connections on to a server, and loses, cuts and delays what it is told to.
type proxy struct {
	listener net.Listener
	target   string

	mu    sync.Mutex
	cuts  []cut         // each happens once
	delay time.Duration // of each piece that passes
	no    *refusal      // nil for none
	links map[*link]bool
}

// startProxy listens on a port of its own choice.
func startProxy(target string) (*proxy, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &proxy{listener: listener, target: target, links: map[*link]bool{}}
	go p.serve()
	return p, nil
}

func (p *proxy) addr() string { return p.listener.Addr().String() }

func (p *proxy) serve() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		go func() {
			server, err := net.Dial("tcp", p.target)
			if err != nil {
				_ = client.Close()
				return
			}
			l := &link{proxy: p, client: client, server: server}
			p.mu.Lock()
			p.links[l] = true
			p.mu.Unlock()
			go l.pass(client, server, l.request)
			go l.pass(server, client, l.answer)
		}()
	}
}

// add arms cuts. What was armed before and did not happen stays.
func (p *proxy) add(cuts ...cut) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cuts = append(p.cuts, cuts...)
}

// slow delays every piece that passes; 0 ends it.
func (p *proxy) slow(delay time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = delay
}

// refuse answers some requests itself; nil ends it.
func (p *proxy) refuse(no *refusal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.no = no
}

// refused gives the answer to a request that does not reach the server, nil for one that does.
func (p *proxy) refused(request []byte) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.no == nil || !p.no.match(request) {
		return nil
	}
	return p.no.answer
}

// sever cuts all connections.
func (p *proxy) sever() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		l.close()
	}
}

// heal ends all faults.
func (p *proxy) heal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cuts, p.delay, p.no = nil, 0, nil
}

func (p *proxy) close() {
	_ = p.listener.Close()
	p.sever()
}

// due takes out the first armed cut of a point that fits the request.
func (p *proxy) due(at point, request []byte) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, c := range p.cuts {
		if c.at == at && c.match(request) {
			p.cuts = append(p.cuts[:i:i], p.cuts[i+1:]...)
			return true
		}
	}
	return false
}

func (p *proxy) pause() {
	p.mu.Lock()
	delay := p.delay
	p.mu.Unlock()
	time.Sleep(delay)
}

// link is one client's connection with the one to the server that belongs to it.
type link struct {
	proxy          *proxy
	client, server net.Conn

	mu       sync.Mutex
	head     []byte // the beginning of the last request
	answered bool   // since then
}

func (l *link) close() {
	_ = l.client.Close()
	_ = l.server.Close()
}

// pass hands on what comes from one side. How much of a piece passes, and whether the connection
// lives on, is decided by look.
func (l *link) pass(from, to net.Conn, look func([]byte) (n int, alive bool)) {
	defer func() {
		l.close()
		l.proxy.mu.Lock()
		delete(l.proxy.links, l)
		l.proxy.mu.Unlock()
	}()
	piece := make([]byte, 64<<10)
	for {
		n, err := from.Read(piece)
		if n > 0 {
			l.proxy.pause()
			part, alive := look(piece[:n])
			if _, err := to.Write(piece[:part]); err != nil || !alive {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// request looks at a piece from the client.
func (l *link) request(piece []byte) (n int, alive bool) {
	l.mu.Lock()
	if l.head == nil || l.answered {
		l.head, l.answered = bytes.Clone(piece[:min(len(piece), headBytes)]), false
	}
	head := l.head
	l.mu.Unlock()
	if answer := l.proxy.refused(head); answer != nil {
		_, _ = l.client.Write(answer)
		return 0, false
	}
	if l.proxy.due(inRequest, head) {
		return len(piece) / 2, false
	}
	return len(piece), true
}

// headBytes is how much of a request is looked at: ClickHouse's statements stand in the first line.
const headBytes = 4 << 10

// answer looks at a piece from the server.
func (l *link) answer(piece []byte) (n int, alive bool) {
	l.mu.Lock()
	head := l.head
	l.answered = true
	l.mu.Unlock()
	switch {
	case l.proxy.due(beforeAnswer, head):
		return 0, false
	case l.proxy.due(inAnswer, head):
		return len(piece) / 2, false
	}
	return len(piece), true
}

func anyRequest([]byte) bool { return true }

// insert tells ClickHouse's INSERT over HTTP.
func insert(request []byte) bool { return bytes.Contains(request, []byte("INSERT")) }

// noSpace is what ClickHouse answers when the disk is full.
var noSpace = []byte("HTTP/1.1 500 Internal Server Error\r\n" +
	"Content-Type: text/plain; charset=UTF-8\r\nX-ClickHouse-Exception-Code: 243\r\n" +
	"Connection: close\r\n\r\nCode: 243. DB::Exception: Cannot reserve 1.00 MiB, not enough " +
	"space. (NOT_ENOUGH_SPACE) (version 26.7.2.1)\n")

// kafkaRequest tells one of Kafka's requests by its number in the protocol.
func kafkaRequest(api uint16) func([]byte) bool {
	const sizeBytes = 4
	return func(request []byte) bool {
		return len(request) >= sizeBytes+2 && binary.BigEndian.Uint16(request[sizeBytes:]) == api
	}
}

// The numbers of Kafka's requests that change something.
const (
	produceRequest = 0
	commitRequest  = 8
	joinRequest    = 11
)
