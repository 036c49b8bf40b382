package main

import (
	"encoding/json"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
	"sync/atomic"
)

// meter stands between whoever asks and ClickHouse, and adds up what the server says of its
// statements. For an answer that is streamed it says it with the first block.
type meter struct {
	address string
	server  *http.Server
	rows    atomic.Uint64
	bytes   atomic.Uint64
	asked   atomic.Uint64
}

func startMeter(clickhouse string) (*meter, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	m := &meter{address: listener.Addr().String()}
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: clickhouse})
	proxy.FlushInterval = -1
	proxy.ModifyResponse = func(r *http.Response) error {
		m.add(r.Header.Get("X-ClickHouse-Summary"))
		return nil
	}
	m.server = &http.Server{Handler: proxy} //nolint:gosec // loopback only
	go func() { _ = m.server.Serve(listener) }()
	return m, nil
}

func (m *meter) add(summary string) {
	var s struct {
		Rows  string `json:"read_rows"`
		Bytes string `json:"read_bytes"`
	}
	if json.Unmarshal([]byte(summary), &s) != nil {
		return // an error has none
	}
	rows, _ := strconv.ParseUint(s.Rows, 10, 64)
	bytes, _ := strconv.ParseUint(s.Bytes, 10, 64)
	m.asked.Add(1)
	m.rows.Add(rows)
	m.bytes.Add(bytes)
}

// take gives what came together since it was last asked.
func (m *meter) take() (statements, rows, bytes uint64) {
	return m.asked.Swap(0), m.rows.Swap(0), m.bytes.Swap(0)
}

func (m *meter) close() { _ = m.server.Close() }
