package embedded

import (
	"bytes"
	"io"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/ClickHouse/ch-go/compress"
)

// FuzzStatement: whatever the SQL, what is found of it lies inside it.
func FuzzStatement(f *testing.F) {
	for _, seed := range []string{"SELECT 1 FORMAT JSON", "INSERT INTO t (a, b) VALUES (1, ';')",
		"INSERT INTO t FORMAT Native \r\n\x00\x01", "SELECT 'it''s \\' ;' /* ; */ -- ;\n; SELECT 2",
		"SELECT $a$ FORMAT $a$, `x\\``, \"y\"\"z\"", "SELECT * FROM t INTO OUTFILE 'f'", "/*", "$", "'"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, sql string) {
		s := inspect(sql)
		if s.dataAt < 0 || s.dataAt > len(sql) || len(s.insertHead) > s.dataAt {
			t.Fatalf("%q: %+v", sql, s)
		}
		if !strings.HasPrefix(sql, s.insertHead) ||
			s.format != "Values" && !strings.Contains(sql, s.format) {
			t.Fatalf("%q: %+v", sql, s)
		}
	})
}

// FuzzFrames: compressed frames that were cut, damaged or made up give an error, never more bytes
// than they say.
func FuzzFrames(f *testing.F) {
	for _, method := range []compress.Method{compress.None, compress.LZ4, compress.ZSTD} {
		var frames bytes.Buffer
		w := newFrameWriter(&frames, method)
		for range 2 {
			_, _ = w.Write(bytes.Repeat([]byte("call "), 40))
			_ = w.Flush()
		}
		f.Add(frames.Bytes())
		f.Add(frames.Bytes()[:frames.Len()-3])
	}
	f.Fuzz(func(t *testing.T, packed []byte) {
		if len(packed) > 1<<16 {
			return
		}
		_, _ = io.Copy(io.Discard, io.LimitReader(newFrameReader(bytes.NewReader(packed)), 1<<24))
	})
}

// FuzzNative: blocks that are not the engine's give an error.
func FuzzNative(f *testing.F) {
	f.Add([]byte{1, 2, 1, 'a', 5, 'U', 'I', 'n', 't', '8', 7, 8}, 54475)
	f.Add([]byte{1, 1, 1, 's', 6, 'S', 't', 'r', 'i', 'n', 'g', 2, 'h', 'i'}, 54475)
	f.Add([]byte("\x01\x01\x01a\x0eArray(Tuple(UInt8, String))\x01\x00\x00\x00\x00\x00\x00\x00"), 1)
	f.Add([]byte("\x01\x01\x01d\x14Map(String, String)\x00"), 0)
	f.Fuzz(func(t *testing.T, blocks []byte, revision int) {
		_ = writeNative(io.Discard, blocks, revision)
	})
}

// FuzzRequest: no address or form can end the server, and what goes into a statement is quoted.
func FuzzRequest(f *testing.F) {
	f.Add("query=SELECT+1&max_threads=2&param_a=b", "SELECT 1")
	f.Add("session_id=s&session_timeout=60&t_structure=a+UInt8&log_comment='", "")
	f.Add("client_protocol_version=54475&%27%3B+DROP=%5C%27", "x")
	f.Fuzz(func(t *testing.T, query, body string) {
		if !utf8.ValidString(query) {
			return
		}
		r := httptest.NewRequest("POST", "/", strings.NewReader(body))
		r.URL = &url.URL{Path: "/", RawQuery: query}
		q, err := readRequest(r)
		if err != nil {
			return
		}
		if s := inspect(q.setStatement()); s.more || s.verb != "SET" {
			t.Fatalf("%q makes %q", query, q.setStatement())
		}
		_, _ = io.Copy(io.Discard, io.LimitReader(q.body, 1<<20))
	})
}
