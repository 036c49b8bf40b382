package embedded

import (
	"sync"
	"time"
)

// sessionsMax bounds the sessions that clients left open; each holds a connection of the engine.
const sessionsMax = 200

// sessions gives every request a connection to the engine.
//
// A request without session_id gets a connection of its own, opened for it and closed after it.
// That costs about 0.2 ms and is why there is no pool: settings, the current database and temporary
// tables of one request can never reach another, as on a real server, and queries run side by side.
type sessions struct {
	engine *engine
	path   string

	mu     sync.Mutex
	named  map[string]*session
	closed bool
}

// session is the connection behind a session_id. busy is true while a request uses it.
type session struct {
	conn  *conn
	busy  bool
	timer *time.Timer
}

func newSessions(e *engine, path string) *sessions {
	return &sessions{engine: e, path: path, named: map[string]*session{}}
}

// take returns a connection and what to call when the request is over.
func (s *sessions) take(wanted sessionRequest) (*conn, func(), error) {
	if wanted.id == "" {
		c, err := s.engine.open("--path=" + s.path)
		if err != nil {
			return nil, nil, err
		}
		return c, c.close, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	known := s.named[wanted.id]
	switch {
	case s.closed:
		return nil, nil, raise(codeNetwork, "NETWORK_ERROR", "The server is shutting down")
	case known != nil && known.busy:
		return nil, nil, raise(codeSessionLocked, "SESSION_IS_LOCKED",
			"Session %s is locked by a concurrent client", wanted.id)
	case known == nil && wanted.check:
		return nil, nil, raise(codeSessionNotFound, "SESSION_NOT_FOUND",
			"Session %s not found", wanted.id)
	case known == nil && len(s.named) >= sessionsMax:
		return nil, nil, raise(codeTooManyQueries, "TOO_MANY_SIMULTANEOUS_QUERIES",
			"More than %d sessions are open: wait for some to time out", sessionsMax)
	case known == nil:
		c, err := s.engine.open("--path=" + s.path)
		if err != nil {
			return nil, nil, err
		}
		known = &session{conn: c}
		s.named[wanted.id] = known
	}
	known.busy = true
	if known.timer != nil {
		known.timer.Stop()
	}
	return known.conn, func() { s.release(wanted, known) }, nil
}

func (s *sessions) release(wanted sessionRequest, known *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	known.busy = false
	if s.closed {
		known.conn.close()
		return
	}
	known.timer = time.AfterFunc(wanted.timeout, func() { s.expire(wanted.id, known) })
}

// expire checks busy again: the timer may have fired while a request was taking the session.
func (s *sessions) expire(id string, known *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if known.busy || s.named[id] != known {
		return
	}
	delete(s.named, id)
	known.conn.close()
}

// close ends the idle sessions. A busy one ends with its request.
func (s *sessions) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for id, known := range s.named {
		if known.timer != nil {
			known.timer.Stop()
		}
		delete(s.named, id)
		if !known.busy {
			known.conn.close()
		}
	}
}
