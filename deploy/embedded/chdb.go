package embedded

import (
	"errors"
	"runtime"
	"unsafe"
)

// engine is the C interface of libchdb, bound by hand. Only the calls the server makes are here.
// Every pointer that C returns stays owned by C until the matching destroy call.
type engine struct {
	setSignalHandlers func(enabled int32)
	connect           func(argc int32, argv unsafe.Pointer) unsafe.Pointer
	closeConn         func(conn unsafe.Pointer)
	version           func() string

	query func(conn, sql unsafe.Pointer, sqlLen uintptr, format unsafe.Pointer, formatLen uintptr,
		names, nameLens, values, valueLens unsafe.Pointer, count uintptr) unsafe.Pointer
	streamQuery func(conn, sql unsafe.Pointer, sqlLen uintptr, format unsafe.Pointer,
		formatLen uintptr, names, nameLens, values, valueLens unsafe.Pointer,
		count uintptr) unsafe.Pointer
	streamFetch  func(conn, stream unsafe.Pointer) unsafe.Pointer
	streamCancel func(conn, stream unsafe.Pointer)

	insert func(conn, sql unsafe.Pointer, sqlLen uintptr, format unsafe.Pointer, formatLen uintptr,
		names, nameLens, values, valueLens unsafe.Pointer, count uintptr) unsafe.Pointer
	insertAppend  func(stream, data unsafe.Pointer, length uintptr) int32
	insertDone    func(stream unsafe.Pointer) unsafe.Pointer
	insertCancel  func(stream unsafe.Pointer)
	insertError   func(stream unsafe.Pointer) string
	insertDestroy func(stream unsafe.Pointer)

	resultBuffer  func(result unsafe.Pointer) unsafe.Pointer
	resultLength  func(result unsafe.Pointer) uintptr
	resultError   func(result unsafe.Pointer) string
	resultDestroy func(result unsafe.Pointer)
	rowsRead      func(result unsafe.Pointer) uint64
	bytesRead     func(result unsafe.Pointer) uint64
	rowsWritten   func(result unsafe.Pointer) uint64
	bytesWritten  func(result unsafe.Pointer) uint64
	storageRows   func(result unsafe.Pointer) uint64
	storageBytes  func(result unsafe.Pointer) uint64
}

// loadEngine opens the library at path and binds the calls.
//
// The signal handlers are switched off before anything else: with libchdb's own SIGSEGV handler in
// place a nil dereference that Go would recover from hangs the process for minutes.
func loadEngine(path string) (*engine, error) {
	e := &engine{}
	if err := bind(path, e.symbols()); err != nil {
		return nil, err
	}
	e.setSignalHandlers(0)
	return e, nil
}

func (e *engine) symbols() map[string]any {
	return map[string]any{
		"chdb_set_signal_handlers_enabled": &e.setSignalHandlers,
		"chdb_connect":                     &e.connect,
		"chdb_close_conn":                  &e.closeConn,
		"chdb_version":                     &e.version,
		"chdb_query_with_params_n":         &e.query,
		"chdb_stream_query_with_params_n":  &e.streamQuery,
		"chdb_stream_fetch_result":         &e.streamFetch,
		"chdb_stream_cancel_query":         &e.streamCancel,
		"chdb_stream_insert_with_params_n": &e.insert,
		"chdb_stream_append":               &e.insertAppend,
		"chdb_stream_done":                 &e.insertDone,
		"chdb_stream_cancel_insert":        &e.insertCancel,
		"chdb_stream_insert_error":         &e.insertError,
		"chdb_destroy_insert_stream":       &e.insertDestroy,
		"chdb_result_buffer":               &e.resultBuffer,
		"chdb_result_length":               &e.resultLength,
		"chdb_result_error":                &e.resultError,
		"chdb_destroy_query_result":        &e.resultDestroy,
		"chdb_result_rows_read":            &e.rowsRead,
		"chdb_result_bytes_read":           &e.bytesRead,
		"chdb_result_rows_written":         &e.rowsWritten,
		"chdb_result_bytes_written":        &e.bytesWritten,
		"chdb_result_storage_rows_read":    &e.storageRows,
		"chdb_result_storage_bytes_read":   &e.storageBytes,
	}
}

// conn is one session with the engine: its own settings, database and temporary tables.
// It runs one statement at a time, and its owner must not share it between goroutines.
type conn struct {
	engine *engine
	handle unsafe.Pointer // what chdb_connect returned: a pointer to the connection
	inner  unsafe.Pointer // the connection itself, as the query calls want it
}

var errConnect = errors.New("chDB refused to open its data folder: see its message on stderr above")

func (e *engine) open(arguments ...string) (*conn, error) {
	var pinner runtime.Pinner
	defer pinner.Unpin()
	argv := make([]unsafe.Pointer, 0, len(arguments)+2)
	for _, argument := range append([]string{"clickhouse"}, arguments...) {
		text := append([]byte(argument), 0)
		pinner.Pin(&text[0])
		argv = append(argv, unsafe.Pointer(&text[0]))
	}
	argv = append(argv, nil)
	pinner.Pin(&argv[0])
	handle := e.connect(int32(len(argv)-1), unsafe.Pointer(&argv[0]))
	if handle == nil {
		return nil, errConnect
	}
	return &conn{engine: e, handle: handle, inner: *(*unsafe.Pointer)(handle)}, nil
}

func (c *conn) close() {
	if c.handle != nil {
		c.engine.closeConn(c.handle)
		c.handle, c.inner = nil, nil
	}
}

// param is a value for a {name:Type} place in a statement, as text in the escaped form of TSV.
type param struct{ name, value string }

// call is one statement laid out for C. release must follow once C has returned.
type call struct {
	pinner                            runtime.Pinner
	sql, format                       unsafe.Pointer
	sqlLen, formatLen                 uintptr
	names, nameLens, values, valueLen unsafe.Pointer
	count                             uintptr
}

func newCall(sql, format string, params []param) *call {
	c := &call{sqlLen: uintptr(len(sql)), formatLen: uintptr(len(format)),
		count: uintptr(len(params))}
	c.sql, c.format = c.text(sql), c.text(format)
	if len(params) == 0 {
		return c
	}
	names, values := make([]unsafe.Pointer, len(params)), make([]unsafe.Pointer, len(params))
	nameLens, valueLens := make([]uintptr, len(params)), make([]uintptr, len(params))
	for i, p := range params {
		names[i], nameLens[i] = c.text(p.name), uintptr(len(p.name))
		values[i], valueLens[i] = c.text(p.value), uintptr(len(p.value))
	}
	c.pinner.Pin(&names[0])
	c.pinner.Pin(&values[0])
	c.pinner.Pin(&nameLens[0])
	c.pinner.Pin(&valueLens[0])
	c.names, c.values = unsafe.Pointer(&names[0]), unsafe.Pointer(&values[0])
	c.nameLens, c.valueLen = unsafe.Pointer(&nameLens[0]), unsafe.Pointer(&valueLens[0])
	return c
}

// text pins a copy of s. The closing zero is not part of the length; it only gives the empty
// string an address.
func (c *call) text(s string) unsafe.Pointer {
	b := append([]byte(s), 0)
	c.pinner.Pin(&b[0])
	return unsafe.Pointer(&b[0])
}

func (c *call) release() { c.pinner.Unpin() }

// query runs one statement to its end and returns all of its output.
func (c *conn) query(sql, format string, params []param) (*result, error) {
	call := newCall(sql, format, params)
	defer call.release()
	return c.engine.result(c.engine.query(c.inner, call.sql, call.sqlLen, call.format,
		call.formatLen, call.names, call.nameLens, call.values, call.valueLen, call.count))
}

// exec runs a statement whose output is of no interest.
func (c *conn) exec(sql string) error {
	r, err := c.query(sql, "Null", nil)
	if err != nil {
		return err
	}
	r.destroy()
	return nil
}

// stream starts a SELECT whose output is fetched block by block.
func (c *conn) stream(sql, format string, params []param) (*stream, error) {
	call := newCall(sql, format, params)
	defer call.release()
	r, err := c.engine.result(c.engine.streamQuery(c.inner, call.sql, call.sqlLen, call.format,
		call.formatLen, call.names, call.nameLens, call.values, call.valueLen, call.count))
	if err != nil {
		return nil, err
	}
	return &stream{conn: c, handle: r.handle}, nil
}

type stream struct {
	conn   *conn
	handle unsafe.Pointer
	ended  bool
}

// next returns the next part of the output, or nil at the end.
func (s *stream) next() (*result, error) {
	if s.ended {
		return nil, nil
	}
	r, err := s.conn.engine.result(s.conn.engine.streamFetch(s.conn.inner, s.handle))
	if err != nil {
		s.ended = true
		return nil, err
	}
	if len(r.bytes()) == 0 {
		s.ended = true
		r.destroy()
		return nil, nil
	}
	return r, nil
}

// close cancels what is left of the query and frees it.
func (s *stream) close() {
	if !s.ended {
		s.conn.engine.streamCancel(s.conn.inner, s.handle)
		s.ended = true
	}
	if s.handle != nil {
		s.conn.engine.resultDestroy(s.handle)
		s.handle = nil
	}
}

// insert starts an INSERT whose rows follow by append. sql has no FORMAT clause and no data.
func (c *conn) insert(sql, format string, params []param) (*insertion, error) {
	call := newCall(sql, format, params)
	defer call.release()
	handle := c.engine.insert(c.inner, call.sql, call.sqlLen, call.format, call.formatLen,
		call.names, call.nameLens, call.values, call.valueLen, call.count)
	if handle == nil {
		return nil, newException("chDB returned no insert stream")
	}
	if text := c.engine.insertError(handle); text != "" {
		c.engine.insertDestroy(handle)
		return nil, newException(text)
	}
	return &insertion{engine: c.engine, handle: handle}, nil
}

// insertion is an open INSERT. Nothing is committed before done returns without an error.
type insertion struct {
	engine *engine
	handle unsafe.Pointer
}

func (i *insertion) append(data []byte) error {
	if len(data) == 0 {
		return nil
	}
	if i.engine.insertAppend(i.handle, unsafe.Pointer(&data[0]), uintptr(len(data))) == 0 {
		return nil
	}
	return newException(i.engine.insertError(i.handle))
}

func (i *insertion) done() (*result, error) {
	return i.engine.result(i.engine.insertDone(i.handle))
}

// close frees the insertion. An insertion that is not done is cancelled by it.
func (i *insertion) close() {
	if i.handle != nil {
		i.engine.insertDestroy(i.handle)
		i.handle = nil
	}
}

// result is output that C owns until destroy.
type result struct {
	engine *engine
	handle unsafe.Pointer
}

func (e *engine) result(handle unsafe.Pointer) (*result, error) {
	if handle == nil {
		return nil, newException("chDB returned no result")
	}
	if text := e.resultError(handle); text != "" {
		e.resultDestroy(handle)
		return nil, newException(text)
	}
	return &result{engine: e, handle: handle}, nil
}

// bytes is valid until destroy.
func (r *result) bytes() []byte {
	n := r.engine.resultLength(r.handle)
	if n == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(r.engine.resultBuffer(r.handle)), n)
}

func (r *result) destroy() {
	if r.handle != nil {
		r.engine.resultDestroy(r.handle)
		r.handle = nil
	}
}
