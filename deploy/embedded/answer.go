package embedded

import (
	"compress/zlib"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/ClickHouse/ch-go/compress"
	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// writeStallMax is how long one write may wait for a client that does not read. Without it such a
// client would hold a place among the running queries for ever.
const writeStallMax = 5 * time.Minute

// answer writes one response. Headers go out with the first byte, so that an error before it still
// has its own status.
type answer struct {
	w       http.ResponseWriter
	request *request
	tag     string
	started bool
	body    io.Writer
	closers []io.Closer // in the order to close: the frames first, then the encoding
}

func newAnswer(w http.ResponseWriter, q *request) *answer {
	return &answer{w: w, request: q, tag: newQueryID()[:8] + newQueryID()[:8]}
}

// summary counts what a query did, for the header of that name.
type summary struct {
	readRows, readBytes, writtenRows, writtenBytes, resultBytes uint64
	elapsed                                                     time.Duration
}

func (s summary) header() string {
	return fmt.Sprintf(`{"read_rows":"%d","read_bytes":"%d","written_rows":"%d",`+
		`"written_bytes":"%d","total_rows_to_read":"0","result_rows":"0","result_bytes":"%d",`+
		`"elapsed_ns":"%d"}`, s.readRows, s.readBytes, s.writtenRows, s.writtenBytes,
		s.resultBytes, s.elapsed.Nanoseconds())
}

// begin sets the headers of a good answer. They are sent with the first byte or by finish.
func (a *answer) begin(format string, s summary) {
	header := a.w.Header()
	header.Set("Content-Type", contentType(format))
	header.Set("X-ClickHouse-Format", format)
	header.Set("X-ClickHouse-Query-Id", a.request.queryID)
	header.Set("X-ClickHouse-Summary", s.header())
	header.Set("X-ClickHouse-Exception-Tag", a.tag)
}

func (a *answer) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if !a.started {
		if err := a.start(); err != nil {
			return 0, err
		}
	}
	deadline := time.Now().Add(writeStallMax)
	_ = http.NewResponseController(a.w).SetWriteDeadline(deadline)
	return a.body.Write(p)
}

// start chooses how the body is packed. An empty body is never packed: clients take its length of
// zero as "no columns".
func (a *answer) start() error {
	a.started = true
	a.body = a.w
	encoding := chooseEncoding(a.request.encodings)
	if encoding != "" {
		a.w.Header().Set("Content-Encoding", encoding)
		packer, err := newEncoder(a.w, encoding)
		if err != nil {
			return err
		}
		a.body, a.closers = packer, append(a.closers, packer)
	}
	if a.request.compress {
		frames := newFrameWriter(a.body, a.request.frameMethod())
		a.body, a.closers = frames, append([]io.Closer{frames}, a.closers...)
	}
	return nil
}

func (q *request) frameMethod() compress.Method {
	for _, setting := range q.settings {
		if setting.name == "network_compression_method" && strings.EqualFold(setting.value, "ZSTD") {
			return compress.ZSTD
		}
	}
	return compress.LZ4
}

func (a *answer) finish() error {
	for _, closer := range a.closers {
		if err := closer.Close(); err != nil {
			return err
		}
	}
	return nil
}

// fail answers with the error. If part of the result is out already, the error follows it in the
// frame that clients look for, and the connection is cut so that nobody takes the part for the
// whole.
func (a *answer) fail(err error, version string) {
	e := asException(err)
	if !a.started {
		writeException(a.w, e, version, a.request.queryID)
		return
	}
	text := strings.TrimRight(e.body(version), "\n")
	fmt.Fprintf(a.body, "\r\n__exception__\r\n%s\r\n%s\n%d %s\r\n__exception__\r\n",
		a.tag, text, len(text)+1, a.tag)
	_ = a.finish()
	_ = http.NewResponseController(a.w).Flush()
	panic(http.ErrAbortHandler)
}

func writeException(w http.ResponseWriter, e *exception, version, queryID string) {
	header := w.Header()
	header.Set("Content-Type", "text/plain; charset=UTF-8")
	header.Set("X-ClickHouse-Exception-Code", fmt.Sprint(e.code))
	if queryID != "" {
		header.Set("X-ClickHouse-Query-Id", queryID)
	}
	header.Del("X-ClickHouse-Exception-Tag")
	header.Del("Content-Encoding")
	w.WriteHeader(e.status())
	_, _ = io.WriteString(w, e.body(version))
}

// chooseEncoding takes the first that the client lists and this server knows.
func chooseEncoding(accepted string) string {
	for part := range strings.SplitSeq(accepted, ",") {
		name, quality, _ := strings.Cut(strings.TrimSpace(part), ";")
		if strings.TrimSpace(quality) == "q=0" {
			continue
		}
		switch name {
		case "gzip", "deflate", "br", "zstd":
			return name
		}
	}
	return ""
}

func newEncoder(w io.Writer, encoding string) (io.WriteCloser, error) {
	switch encoding {
	case "gzip":
		return gzip.NewWriterLevel(w, gzip.BestSpeed)
	case "deflate":
		return zlib.NewWriterLevel(w, zlib.BestSpeed)
	case "br":
		return brotli.NewWriterLevel(w, brotli.BestSpeed), nil
	default:
		return zstd.NewWriter(w, zstd.WithEncoderLevel(zstd.SpeedFastest),
			zstd.WithEncoderConcurrency(1))
	}
}

func contentType(format string) string {
	switch {
	case strings.HasPrefix(format, "TabSeparated"), strings.HasPrefix(format, "TSV"):
		return "text/tab-separated-values; charset=UTF-8"
	case strings.HasPrefix(format, "CSVWithNames"):
		return "text/csv; charset=UTF-8; header=present"
	case strings.HasPrefix(format, "CSV"):
		return "text/csv; charset=UTF-8; header=absent"
	case strings.HasPrefix(format, "JSON") && strings.Contains(format, "EachRow"):
		return "application/x-ndjson; charset=UTF-8"
	case strings.HasPrefix(format, "JSON"):
		return "application/json; charset=UTF-8"
	case format == "XML":
		return "application/xml; charset=UTF-8"
	case strings.HasPrefix(format, "RowBinary"), format == "Native", format == "Parquet",
		strings.HasPrefix(format, "Arrow"), format == "ORC", format == "Avro":
		return "application/octet-stream"
	}
	return "text/plain; charset=UTF-8"
}
