package embedded

import (
	"bufio"
	"cmp"
	"context"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
)

const (
	// headBytesMax is how far the server looks for FORMAT or VALUES in an INSERT. It is ClickHouse's
	// own default limit for the part of a query that is parsed.
	headBytesMax = 256 << 10
	// queryBytesMax bounds a statement without data.
	queryBytesMax = 64 << 20
	// insertChunkBytes is what is handed to the engine at once.
	insertChunkBytes = 1 << 20
	// readonlySelect lets a GET change settings and read, and nothing else.
	readonlySelect = "readonly = 2"
)

// streamed formats have no header and no footer, so the engine's output block by block is the same
// bytes as its output in one piece. Results in other formats are gathered in memory.
var streamed = []string{"native", "tabseparated", "tsv", "tabseparatedraw", "tsvraw", "csv",
	"jsoneachrow", "ndjson", "jsonlines", "jsoncompacteachrow", "rowbinary", "lineasstring"}

// execute runs the request to its end. Errors before the first byte of output are returned; later
// ones are already in the answer.
func (s *server) execute(w http.ResponseWriter, r *http.Request, q *request) error {
	c, release, err := s.sessions.take(q.session)
	if err != nil {
		return err
	}
	defer release()
	if err := q.prepare(c); err != nil {
		return err
	}
	if q.session.id != "" {
		defer func() { _ = c.exec(q.resetStatement()) }()
	}
	run := &run{server: s, conn: c, request: q, answer: newAnswer(w, q), context: r.Context(),
		begun: time.Now()}
	if err := run.statement(); err != nil {
		if run.answer.started {
			run.answer.fail(err, s.version)
		}
		return err
	}
	return run.answer.finish()
}

// prepare brings a connection into the state that the request describes.
func (q *request) prepare(c *conn) error {
	if q.database != "" {
		if err := c.exec("USE " + quoteName(q.database)); err != nil {
			return err
		}
	}
	for _, table := range q.external {
		if err := table.create(c); err != nil {
			return err
		}
	}
	set := q.setStatement()
	hasReadonly := slices.ContainsFunc(q.settings, func(p param) bool { return p.name == "readonly" })
	if q.readonly && q.session.id == "" && !hasReadonly {
		// A session cannot leave readonly again, so only connections of one request enter it.
		set += ", " + readonlySelect
	}
	return c.exec(set)
}

func (t externalTable) create(c *conn) error {
	name := quoteName(t.name)
	if err := c.exec("CREATE TEMPORARY TABLE " + name + " (" + t.structure + ")"); err != nil {
		return err
	}
	insertion, err := c.insert("INSERT INTO "+name, t.format, nil)
	if err != nil {
		return err
	}
	defer insertion.close()
	if err := insertion.append(t.data); err != nil {
		return err
	}
	result, err := insertion.done()
	if err != nil {
		return err
	}
	result.destroy()
	return nil
}

// run is one statement on its way.
type run struct {
	server  *server
	conn    *conn
	request *request
	answer  *answer
	context context.Context
	begun   time.Time
}

// statement finds out what the text is. An INSERT with data is streamed to the engine; the text of
// anything else is read to its end first.
func (r *run) statement() error {
	text := r.request.query
	if text != "" {
		text += "\n"
		if s := inspect(text); s.insertHead != "" && s.dataAt < len(text) {
			return r.insert(s, io.MultiReader(strings.NewReader(text[s.dataAt:]), r.request.body))
		}
	}
	source := io.MultiReader(strings.NewReader(text), r.request.body)
	head := bufio.NewReaderSize(source, headBytesMax)
	start, err := head.Peek(headBytesMax)
	if err != nil && err != io.EOF {
		return bodyFault(err)
	}
	s := inspect(string(start))
	if s.insertHead != "" {
		if _, err := head.Discard(s.dataAt); err != nil {
			return bodyFault(err)
		}
		return r.insert(s, head)
	}
	all, err := io.ReadAll(io.LimitReader(head, queryBytesMax+1))
	if err != nil {
		return bodyFault(err)
	}
	if len(all) > queryBytesMax {
		return raise(codeQueryTooLarge, "QUERY_IS_TOO_LARGE",
			"The query is longer than %d bytes: send rows as data of an INSERT", queryBytesMax)
	}
	sql := string(all)
	if len(all) > len(start) {
		s = inspect(sql)
	}
	return r.query(sql, s)
}

// bodyFault names an error of reading the request's body as ClickHouse does.
func bodyFault(err error) error {
	if _, ok := err.(*exception); ok {
		return err
	}
	return raise(codeNetwork, "NETWORK_ERROR", "Cannot read the body of the request: %s", err)
}

// insert streams rows into the engine. If the body breaks off, the insertion is closed without
// done and its last block is not committed.
func (r *run) insert(s statement, data io.Reader) error {
	if s.outfile {
		return errOutfile()
	}
	insertion, err := r.conn.insert(s.insertHead, s.format, r.request.params)
	if err != nil {
		return err
	}
	defer insertion.close()
	chunk := r.server.chunks.Get().(*[]byte)
	defer r.server.chunks.Put(chunk)
	for ended := false; !ended; {
		n, err := fill(data, *chunk)
		if err == io.EOF {
			ended = true
		} else if err != nil {
			return bodyFault(err)
		}
		if err := insertion.append((*chunk)[:n]); err != nil {
			return err
		}
	}
	result, err := insertion.done()
	if err != nil {
		return err
	}
	defer result.destroy()
	r.answer.begin(s.format, r.summary(result, 0))
	return nil
}

// fill reads until the chunk is full. Unlike io.ReadFull it keeps the difference between a body
// that ended (io.EOF) and one that was cut (io.ErrUnexpectedEOF).
func fill(data io.Reader, chunk []byte) (int, error) {
	n := 0
	for n < len(chunk) {
		m, err := data.Read(chunk[n:])
		n += m
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// query runs a statement without data and sends its output.
func (r *run) query(sql string, s statement) error {
	if s.more {
		return raise(codeSyntaxError, "SYNTAX_ERROR", "Multi-statements are not allowed")
	}
	if s.outfile {
		return errOutfile()
	}
	format := cmp.Or(s.format, r.request.format, "TabSeparated")
	reads := s.verb == "SELECT" || s.verb == "WITH" || s.verb == "FROM"
	if reads {
		defer context.AfterFunc(r.context, r.kill)()
	}
	if reads && slices.Contains(streamed, strings.ToLower(format)) {
		stream, err := r.conn.stream(sql, format, r.request.params)
		if err == nil {
			defer stream.close()
			return r.sendStream(stream, format)
		}
		if !strings.Contains(err.Error(), "Streaming query is not supported") {
			return err
		}
	}
	result, err := r.conn.query(sql, format, r.request.params)
	if err != nil {
		return err
	}
	defer result.destroy()
	r.answer.begin(format, r.summary(result, len(result.bytes())))
	return r.send(result, format)
}

func (r *run) sendStream(stream *stream, format string) error {
	for first := true; ; first = false {
		result, err := stream.next()
		if err != nil {
			return err
		}
		if first {
			r.answer.begin(format, r.summary(result, 0))
		}
		if result == nil {
			return nil
		}
		err = r.send(result, format)
		result.destroy()
		if err != nil {
			return err
		}
	}
}

func (r *run) send(result *result, format string) error {
	if !strings.EqualFold(format, "Native") || r.request.revision < revisionBlockInfo {
		_, err := r.answer.Write(result.bytes())
		return err
	}
	// One buffer for the small pieces of a block; columns are longer than it and pass through.
	buffered := bufio.NewWriterSize(r.answer, 32<<10)
	if err := writeNative(buffered, result.bytes(), r.request.revision); err != nil {
		return err // nothing of a short block is out yet, so the error can have its own status
	}
	return buffered.Flush()
}

func (r *run) summary(result *result, resultBytes int) summary {
	s := summary{elapsed: time.Since(r.begun), resultBytes: uint64(resultBytes)}
	if result != nil {
		s.readRows = r.server.engine.storageRows(result.handle)
		s.readBytes = r.server.engine.storageBytes(result.handle)
		s.writtenRows = r.server.engine.rowsWritten(result.handle)
		s.writtenBytes = r.server.engine.bytesWritten(result.handle)
	}
	return s
}

// kill ends a SELECT whose client has gone. Inserts are never killed: whether one was committed
// must depend on the engine alone.
func (r *run) kill() {
	c, err := r.server.engine.open("--path=" + r.server.sessions.path)
	if err != nil {
		return
	}
	defer c.close()
	_ = c.exec("KILL QUERY WHERE Settings['log_comment'] = " + quoteText(r.request.queryID) +
		" ASYNC")
}

func errOutfile() error {
	return raise(codeNotImplemented, "NOT_IMPLEMENTED",
		"INTO OUTFILE and FROM INFILE are features of a command line client")
}
