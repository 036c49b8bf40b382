package observe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"syscall"
	"time"
)

// Mux serves /metrics, and what HealthMux does. Others may add their own paths.
func Mux(m *Metrics, h *Health) *http.ServeMux {
	m.Registry().MustRegister(h)
	mux := HealthMux(h)
	mux.Handle("GET /metrics", m.Handler())
	return mux
}

// HealthMux serves /healthz and /readyz.
//
// /healthz answers 200 while the process can answer at all: it is for restarting a process that
// hangs as a whole. /readyz answers 503 while a loop is stuck, with a body that names it.
func HealthMux(h *Health) *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write([]byte("ok\n"))
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		r := h.Report()
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		if !r.Ready {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		_ = json.NewEncoder(w).Encode(r)
	})
	return mux
}

// answerMax bounds how long an answer may take; the longest are lists of a line's calls.
const answerMax = 10 * time.Minute

// Server is an HTTP server whose port is open already.
type Server struct {
	listener net.Listener
	server   *http.Server
	shutdown time.Duration
}

// ServerOptions say where and what to serve.
type ServerOptions struct {
	// Listen is host:port; port 0 takes any that is free, and empty means no server.
	Listen  string
	Handler http.Handler
	// ShutdownTimeout is how long requests under way may take once the context has ended.
	ShutdownTimeout time.Duration
	Logger          *slog.Logger
}

// Listen opens the port, so that a port that is taken is an error at once and not in the middle.
func Listen(o ServerOptions) (*Server, error) {
	if o.Listen == "" {
		return &Server{}, nil
	}
	l, err := net.Listen("tcp", o.Listen)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("http.listen %s: another process has that port; stop it, or choose "+
			"another port with --http.listen", o.Listen)
	case err != nil:
		return nil, fmt.Errorf("http.listen %s: %w", o.Listen, err)
	}
	s := &Server{listener: l, shutdown: o.ShutdownTimeout, server: &http.Server{
		Handler:           http.MaxBytesHandler(o.Handler, 0), // nothing here reads a body
		ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second,
		WriteTimeout: answerMax, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
	}}
	if o.Logger != nil {
		s.server.ErrorLog = slog.NewLogLogger(o.Logger.Handler(), slog.LevelWarn)
	}
	return s, nil
}

// Addr is the address that the server has, "" where there is none.
func (s *Server) Addr() string {
	if s.listener == nil {
		return ""
	}
	return s.listener.Addr().String()
}

// Run serves until the context ends, then lets requests under way finish.
func (s *Server) Run(ctx context.Context) error {
	if s.listener == nil {
		<-ctx.Done()
		return nil
	}
	stopped := make(chan error, 1)
	go func() { stopped <- s.server.Serve(s.listener) }()
	select {
	case err := <-stopped:
		return fmt.Errorf("http server: %w", err)
	case <-ctx.Done():
	}
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.shutdown)
	defer cancel()
	err := s.server.Shutdown(limit)
	if errors.Is(err, context.DeadlineExceeded) {
		err = s.server.Close() // requests that do not end are cut
	}
	<-stopped
	return err
}
