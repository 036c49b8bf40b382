package embedded

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"strings"
	"testing"
)

func TestTextFormats(t *testing.T) {
	server := sharedServer(t)
	db := ownDatabase(t, server, nil)
	execAll(t, db, "CREATE TABLE t (a UInt32, b String) ENGINE = MergeTree ORDER BY a")
	base := "/?database=TestTextFormats&"
	for _, insert := range [][2]string{
		{"query=INSERT+INTO+t+FORMAT+CSV", "1,\"x,y\"\n"},
		{"query=INSERT+INTO+t+FORMAT+JSONEachRow", `{"a":2,"b":"z"}`},
		{"query=INSERT+INTO+t+VALUES", "(3, 'v'), (2 + 2, 'expression')"},
		{"", "INSERT INTO t VALUES (5, 'it''s FORMAT CSV')"},
		{"", "/* FORMAT */ INSERT INTO t (a, b) FORMAT TSV\n6\tsix\n"},
		{"", "INSERT INTO t SELECT 7, 'seven'"},
	} {
		response, text := httpCall(t, server, "POST", base+insert[0], insert[1])
		if response.StatusCode != http.StatusOK || text != "" {
			t.Fatalf("%v: %s %s", insert, response.Status, text)
		}
	}
	for _, c := range [][3]string{
		{"SELECT a, b FROM t ORDER BY a", "1\tx,y\n2\tz\n3\tv\n4\texpression\n5\tit\\'s FORMAT CSV\n" +
			"6\tsix\n7\tseven\n", "text/tab-separated-values; charset=UTF-8"},
		{"SELECT a, b FROM t WHERE a < 3 ORDER BY a FORMAT CSV", "1,\"x,y\"\n2,\"z\"\n",
			"text/csv; charset=UTF-8; header=absent"},
		{"SELECT a FROM t WHERE a < 3 ORDER BY a FORMAT JSONEachRow", "{\"a\":1}\n{\"a\":2}\n",
			"application/x-ndjson; charset=UTF-8"},
		{"SELECT a FROM t WHERE a < 3 ORDER BY a LIMIT 1 FORMAT TSVWithNames -- end", "a\n1\n",
			"text/tab-separated-values; charset=UTF-8"},
		{"EXISTS TABLE t", "1\n", "text/tab-separated-values; charset=UTF-8"},
		{"WITH 2 AS x SELECT x;", "2\n", "text/tab-separated-values; charset=UTF-8"},
	} {
		response, text := httpCall(t, server, "POST", base, c[0])
		if text != c[1] || response.Header.Get("Content-Type") != c[2] {
			t.Errorf("%s: got %q %s", c[0], text, response.Header.Get("Content-Type"))
		}
	}
	response, text := httpCall(t, server, "POST", base+"default_format=JSON", "SELECT 1 AS n")
	if !strings.Contains(text, `"n": 1`) || response.Header.Get("X-ClickHouse-Format") != "JSON" {
		t.Errorf("JSON: %v %s", response.Header, text)
	}
}

func TestInterfaceOfHTTP(t *testing.T) {
	server := sharedServer(t)
	for _, c := range []struct {
		method, path, body string
		status             int
		code, want         string
	}{
		{"GET", "/ping", "", 200, "", "Ok.\n"},
		{"GET", "/replicas_status", "", 200, "", "Ok.\n"},
		{"GET", "/", "", 200, "", "Ok.\n"},
		{"GET", "/?query=SELECT+1", "", 200, "", "1\n"},
		{"GET", "/?query=CREATE+DATABASE+no", "", 500, "164", "readonly mode"},
		{"POST", "/?query=SELECT", "1 + 1", 200, "", "2\n"},
		{"POST", "/?max_threads=1", "SELECT getSetting('max_threads')", 200, "", "1\n"},
		{"POST", "/?no_such_setting=1", "SELECT 1", 404, "115", "UNKNOWN_SETTING"},
		{"POST", "/?database=nowhere", "SELECT 1", 404, "81", "UNKNOWN_DATABASE"},
		{"POST", "/?param_a=5", "SELECT {a:UInt8} + 1", 200, "", "6\n"},
		{"POST", "/", "SELECT {a:UInt8}", 400, "456", "Substitution `a` is not set"},
		{"POST", "/", "SELECT * FROM nowhere", 404, "60", "UNKNOWN_TABLE"},
		{"POST", "/", "SELEC 1", 400, "62", "SYNTAX_ERROR"},
		{"POST", "/", "SELECT 1; SELECT 2", 400, "62", "Multi-statements"},
		{"POST", "/", "SELECT 1 INTO OUTFILE '/tmp/x'", 501, "48", "command line"},
		{"POST", "/?session_check=1&session_id=none", "SELECT 1", 404, "372", "SESSION_NOT_FOUND"},
		{"PUT", "/", "", 501, "", "not supported"},
		{"GET", "/nowhere", "", 404, "", "no handle"},
	} {
		response, text := httpCall(t, server, c.method, c.path, c.body)
		code := response.Header.Get("X-ClickHouse-Exception-Code")
		if response.StatusCode != c.status || code != c.code || !strings.Contains(text, c.want) {
			t.Errorf("%s %s %q: got %d %s %q", c.method, c.path, c.body, response.StatusCode, code, text)
		}
		if c.code != "" && !strings.HasPrefix(text, "Code: "+c.code+". DB::Exception: ") {
			t.Errorf("%s: an error of ClickHouse begins with its code, got %q", c.body, text)
		}
	}
	response, _ := httpCall(t, server, "POST", "/?query_id=mine", "SELECT 1")
	for name, want := range map[string]string{"Query-Id": "mine", "Timezone": "UTC",
		"Format": "TabSeparated", "Summary": `"read_rows":"1"`, "Server-Display-Name": ""} {
		got, ok := response.Header["X-Clickhouse-"+name]
		if !ok || !strings.Contains(got[0], want) {
			t.Errorf("header %s: %q", name, got)
		}
	}
}

func TestSessionsKeepTheirState(t *testing.T) {
	server := sharedServer(t)
	mine := "/?session_id=" + newQueryID()
	httpCall(t, server, "POST", mine, "CREATE TEMPORARY TABLE mine (n UInt8)")
	httpCall(t, server, "POST", mine+"&max_threads=1", "INSERT INTO mine VALUES (4)")
	if _, text := httpCall(t, server, "POST", mine, "SELECT n FROM mine"); text != "4\n" {
		t.Errorf("the session lost its table: %s", text)
	}
	_, text := httpCall(t, server, "POST", "/?session_id="+newQueryID(), "SELECT n FROM mine")
	if text == "4\n" {
		t.Error("another session sees the table")
	}
	if _, text := httpCall(t, server, "POST", "/", "SELECT n FROM mine"); text == "4\n" {
		t.Error("a request without a session sees the table")
	}
}

func TestBodiesOfCurlMayBePacked(t *testing.T) {
	server := sharedServer(t)
	db := ownDatabase(t, server, nil)
	execAll(t, db, "CREATE TABLE t (a UInt32) ENGINE = MergeTree ORDER BY a")
	var packed bytes.Buffer
	packer := gzip.NewWriter(&packed)
	_, _ = packer.Write([]byte("1\n2\n3\n"))
	_ = packer.Close()
	path := "/?database=TestBodiesOfCurlMayBePacked&query=INSERT+INTO+t+FORMAT+TSV"
	response, text := httpCall(t, server, "POST", path, packed.String(), "Content-Encoding", "gzip")
	if response.StatusCode != http.StatusOK {
		t.Fatal(text)
	}
	cut := packed.String()[:packed.Len()-9]
	response, _ = httpCall(t, server, "POST", path, cut, "Content-Encoding", "gzip")
	if response.StatusCode == http.StatusOK {
		t.Error("a body that breaks off was acknowledged")
	}
	if n := number(t, db, "SELECT sum(a) FROM t"); n != 6 {
		t.Errorf("sum %d, want 6: the broken body must leave nothing", n)
	}
	for _, encoding := range []string{"gzip", "deflate", "br", "zstd"} {
		response, text := httpCall(t, server, "POST", "/", "SELECT number FROM numbers(1000)",
			"Accept-Encoding", encoding)
		if response.Header.Get("Content-Encoding") != encoding {
			t.Errorf("asked for %s, got %q", encoding, response.Header.Get("Content-Encoding"))
		}
		reader, err := decoded(strings.NewReader(text), encoding)
		if err != nil {
			t.Fatal(err)
		}
		plain, err := io.ReadAll(reader)
		if err != nil || !strings.HasSuffix(string(plain), "\n999\n") {
			t.Errorf("%s: %v, %d bytes", encoding, err, len(plain))
		}
	}
	response, _ = httpCall(t, server, "POST", "/?compress=1", "SELECT 1 WHERE 0",
		"Accept-Encoding", "gzip")
	if response.ContentLength != 0 {
		t.Error("an empty result must have a body of length zero: clients take it for no columns")
	}
}

func TestWhoMayEnter(t *testing.T) {
	server := sharedServer(t)
	for name, headers := range map[string][]string{
		"wrong password": {"X-ClickHouse-Key", "wrong"},
		"wrong user":     {"X-ClickHouse-User", "root"},
		"no password":    {"X-ClickHouse-Key", ""},
	} {
		response, text := httpCall(t, server, "POST", "/", "SELECT 1", headers...)
		if response.StatusCode != http.StatusForbidden || !strings.HasPrefix(text, "Code: 516.") ||
			strings.Contains(text, testPassword) {
			t.Errorf("%s: %s %s", name, response.Status, text)
		}
	}
	path := "/?user=default&password=a+p%40ss%3Aword"
	_, text := httpCall(t, server, "POST", path, "SELECT 1", "X-ClickHouse-User", "",
		"X-ClickHouse-Key", "")
	if text != "1\n" {
		t.Errorf("user and password in the address: %s", text)
	}
}

// TestErrorAfterOutput: the error comes after blocks went out with status 200. It lies 30 blocks
// deep, because the engine reads ahead and an error it meets early comes before the first block.
func TestErrorAfterOutput(t *testing.T) {
	server := sharedServer(t)
	const tagHeader = "X-ClickHouse-Exception-Tag"
	const sql = "SELECT number, throwIf(number = 2000000) FROM numbers(3000000) " +
		"SETTINGS max_block_size = 65536, max_threads = 1"
	response, text := httpCall(t, server, "POST", "/", sql)
	if response.StatusCode != http.StatusOK || !strings.HasSuffix(text, "[cut]") ||
		!strings.Contains(text, "__exception__\r\n"+response.Header.Get(tagHeader)+"\r\nCode: 395.") {
		t.Errorf("%s ... %q", response.Status, text[max(0, len(text)-400):])
	}
	rows, err := connect(t, server, nil).Query(t.Context(), sql)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	n := 0
	for rows.Next() {
		n++
	}
	wantCode(t, rows.Err(), 395)
	if n == 0 {
		t.Error("the rows before the error did not arrive")
	}
}
