package embedded

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	userDefault = "default"

	// queriesMax bounds the statements that run at once; the others wait up to queryWaitMax.
	queriesMax   = 32
	queryWaitMax = 30 * time.Second

	// shutdownMax bounds the wait for running statements, engineCloseMax that for the engine. What
	// is cut off by them was not acknowledged, and the tables on disk are whole at every moment.
	shutdownMax    = 10 * time.Second
	engineCloseMax = 5 * time.Second

	headerWaitMax = 10 * time.Second
)

// ServeOptions says how the ClickHouse server runs in this process.
type ServeOptions struct {
	// Listen is host:port on loopback. Port 0 takes a free port.
	Listen string
	// DataDir holds the tables. One process at a time may use it.
	DataDir string
	// Library is the path of libchdb; empty has LocateLibrary find it.
	Library string
	// Config is a file of settings in ClickHouse's own form, for what only such a file can say, such
	// as clusters and macros; empty is none.
	Config string
	// User and Password are what clients must present. An empty User is "default"; an empty
	// Password lets that user in with any.
	User, Password string
	// Ready is called once with the address when requests are answered.
	Ready func(address string)
}

// engineTaken is process-wide because libchdb is: it keeps one data folder per process.
var engineTaken atomic.Bool

// ServeClickHouse answers ClickHouse's HTTP interface until the context ends. It must run in a
// process of its own that is built without the race detector: libchdb crashes at the end of a
// process that has it, and a fault inside libchdb takes the process down.
func ServeClickHouse(ctx context.Context, options ServeOptions) error {
	listener, err := listenLoopback("ClickHouse", options.Listen)
	if err != nil {
		return err
	}
	defer func() { _ = listener.Close() }()
	lock, err := lockFolder(options.DataDir)
	if err != nil {
		return fmt.Errorf("start ClickHouse: %w", err)
	}
	defer lock.release()
	s, err := openServer(options)
	if err != nil {
		return fmt.Errorf("start ClickHouse: %w", err)
	}
	defer s.close()
	return s.serve(ctx, listener, options.Ready)
}

type server struct {
	engine   *engine
	keeper   *conn // holds the engine up: without an open connection it would shut down
	sessions *sessions
	places   chan struct{}
	chunks   sync.Pool

	user, password                 string
	version, timezone, displayName string
}

func openServer(options ServeOptions) (*server, error) {
	library, err := LocateLibrary(options.Library)
	if err != nil {
		return nil, err
	}
	if engineTaken.Swap(true) {
		return nil, errors.New("this process already runs a ClickHouse: start another process")
	}
	e, err := loadEngine(library)
	if err != nil {
		return nil, err
	}
	path, err := filepath.Abs(filepath.Join(options.DataDir, "store"))
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("data folder %s cannot be written: %w", options.DataDir, err)
	}
	arguments := []string{"--path=" + path}
	if options.Config != "" {
		arguments = append(arguments, "--config-file="+options.Config)
	}
	keeper, err := e.open(arguments...) // the first connection starts the engine
	if err != nil {
		return nil, fmt.Errorf("open data folder %s: %w", options.DataDir, err)
	}
	s := &server{engine: e, keeper: keeper, sessions: newSessions(e, path),
		places: make(chan struct{}, queriesMax), user: options.User, password: options.Password}
	if s.user == "" {
		s.user = userDefault
	}
	s.chunks.New = func() any { chunk := make([]byte, insertChunkBytes); return &chunk }
	return s, s.readIdentity()
}

// readIdentity asks the engine for what goes into the headers of every answer.
func (s *server) readIdentity() error {
	result, err := s.keeper.query("SELECT version(), timezone(), displayName()", "TSVRaw", nil)
	if err != nil {
		return fmt.Errorf("ask the engine for its version: %w", err)
	}
	defer result.destroy()
	fields := strings.Split(strings.TrimSpace(string(result.bytes())), "\t")
	if len(fields) != 3 {
		return fmt.Errorf("ask the engine for its version: got %q", fields)
	}
	s.version, s.timezone, s.displayName = fields[0], fields[1], fields[2]
	return nil
}

func (s *server) serve(ctx context.Context, listener net.Listener, ready func(string)) error {
	web := &http.Server{Handler: s, ReadHeaderTimeout: headerWaitMax}
	ended := make(chan error, 1)
	go func() { ended <- web.Serve(listener) }()
	if ready != nil {
		ready(listener.Addr().String())
	}
	select {
	case err := <-ended:
		return fmt.Errorf("serve ClickHouse on %s: %w", listener.Addr(), err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.Background(), shutdownMax)
	defer cancel()
	if err := web.Shutdown(grace); err != nil {
		_ = web.Close()
	}
	return nil
}

// close ends the engine, within a bound: its shutdown joins threads that may be merging.
func (s *server) close() {
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.sessions.close()
		s.keeper.close()
	}()
	select {
	case <-done:
	case <-time.After(engineCloseMax):
		log.Print("embedded ClickHouse: the engine did not close in time; its tables are safe")
	}
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer s.survive(w, r)
	header := w.Header()
	header.Set("X-ClickHouse-Server-Display-Name", s.displayName)
	header.Set("X-ClickHouse-Timezone", s.timezone)
	switch {
	case r.URL.Path == "/ping", r.URL.Path == "/replicas_status",
		r.URL.Path == "/" && r.Method == http.MethodGet && !r.URL.Query().Has("query"):
		header.Set("Content-Type", "text/html; charset=UTF-8")
		_, _ = w.Write([]byte("Ok.\n"))
	case r.URL.Path != "/" && r.URL.Path != "/query":
		http.Error(w, "There is no handle "+r.URL.Path+"\n\nUse / or /ping.", http.StatusNotFound)
	case r.Method == http.MethodOptions:
		header.Set("Allow", "GET, HEAD, POST, OPTIONS")
		w.WriteHeader(http.StatusNoContent)
	case r.Method != http.MethodGet && r.Method != http.MethodPost && r.Method != http.MethodHead:
		http.Error(w, r.Method+" is not supported. Use GET or POST.", http.StatusNotImplemented)
	default:
		s.serveQuery(w, r)
	}
}

func (s *server) serveQuery(w http.ResponseWriter, r *http.Request) {
	queryID := r.URL.Query().Get("query_id")
	if err := s.authenticate(r); err != nil {
		writeException(w, asException(err), s.version, queryID)
		return
	}
	if err := s.enter(r.Context()); err != nil {
		writeException(w, asException(err), s.version, queryID)
		return
	}
	defer func() { <-s.places }()
	q, err := readRequest(r)
	if err == nil {
		queryID = q.queryID
		err = s.execute(w, r, q)
	}
	if err != nil {
		writeException(w, asException(err), s.version, queryID)
	}
}

// enter waits for a place among the running queries.
func (s *server) enter(ctx context.Context) error {
	timer := time.NewTimer(queryWaitMax)
	defer timer.Stop()
	select {
	case s.places <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return raise(codeTooManyQueries, "TOO_MANY_SIMULTANEOUS_QUERIES",
			"%d queries have been running for %s: try again later", queriesMax, queryWaitMax)
	}
}

// survive keeps a fault in one request from ending the process. It lets the deliberate abort of a
// half-sent answer pass.
func (s *server) survive(w http.ResponseWriter, r *http.Request) {
	fault := recover()
	if fault == nil {
		return
	}
	if fault == http.ErrAbortHandler {
		panic(fault)
	}
	log.Printf("embedded ClickHouse: fault in a request: %v\n%s", fault, debug.Stack())
	e := raise(codeUnknown, "UNKNOWN_EXCEPTION", "The embedded server failed: %v", fault)
	writeException(w, e, s.version, r.URL.Query().Get("query_id"))
}
