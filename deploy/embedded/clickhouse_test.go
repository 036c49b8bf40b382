package embedded

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

const testPassword = "a p@ss:word"

// helper is the child's binary. It is built without -race even when the tests run with it, because
// libchdb crashes at the end of such a process.
var helper struct {
	once sync.Once
	dir  string
	path string
	err  error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if shared.server != nil {
		_ = shared.server.Close()
	}
	if shared.dir != "" {
		_ = os.RemoveAll(shared.dir)
	}
	if helper.dir != "" {
		_ = os.RemoveAll(helper.dir)
	}
	os.Exit(code)
}

func helperBinary(t *testing.T) string {
	t.Helper()
	helper.once.Do(func() {
		if helper.dir, helper.err = os.MkdirTemp("", "chserver"); helper.err != nil {
			return
		}
		helper.path = filepath.Join(helper.dir, "chserver")
		build := exec.Command("go", "build", "-race=false", "-o", helper.path, "./internal/chserver")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			helper.err = fmt.Errorf("build the test's server: %w: %s", err, out)
		}
	})
	if helper.err != nil {
		t.Fatal(helper.err)
	}
	return helper.path
}

// requireLibrary skips on a developer's machine without the library, and fails where the embedded
// servers are the only test of the SQL.
func requireLibrary(t *testing.T) {
	t.Helper()
	_, err := LocateLibrary("")
	if err == nil {
		return
	}
	if os.Getenv("CI") != "" || os.Getenv("TOLLSTREAM_REQUIRE_EMBEDDED") == "1" {
		t.Fatal(err)
	}
	t.Skip(err)
}

func serverOptions(t *testing.T, dir string) ClickHouseOptions {
	t.Helper()
	requireLibrary(t)
	return ClickHouseOptions{
		ServeOptions: ServeOptions{Listen: "127.0.0.1:0", DataDir: dir, Password: testPassword},
		Executable:   helperBinary(t), LogWriter: os.Stderr,
	}
}

func startServer(t *testing.T, dir string) *ClickHouse {
	t.Helper()
	server, err := StartClickHouse(t.Context(), serverOptions(t, dir))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	return server
}

// shared is one server for the tests that neither restart nor break it. Each uses a database of
// its own.
var shared struct {
	once   sync.Once
	dir    string
	server *ClickHouse
	err    error
}

func sharedServer(t *testing.T) *ClickHouse {
	t.Helper()
	options := serverOptions(t, "")
	shared.once.Do(func() {
		if shared.dir, shared.err = os.MkdirTemp("", "clickhouse"); shared.err != nil {
			return
		}
		options.DataDir = shared.dir
		shared.server, shared.err = StartClickHouse(context.Background(), options)
	})
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.server
}

// connect opens a client in a fresh database named after the test.
func connect(t *testing.T, server *ClickHouse, change func(*clickhouse.Options)) driver.Conn {
	t.Helper()
	options := server.Options()
	if change != nil {
		change(options)
	}
	db, err := clickhouse.Open(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func ownDatabase(t *testing.T, server *ClickHouse, change func(*clickhouse.Options)) driver.Conn {
	t.Helper()
	name := strings.Map(func(r rune) rune {
		if isWordByte(byte(r)) && r < 128 {
			return r
		}
		return '_'
	}, t.Name())
	execAll(t, connect(t, server, nil), "DROP DATABASE IF EXISTS `"+name+"`",
		"CREATE DATABASE `"+name+"`")
	return connect(t, server, func(options *clickhouse.Options) {
		options.Auth.Database = name
		if change != nil {
			change(options)
		}
	})
}

func execAll(t *testing.T, db driver.Conn, statements ...string) {
	t.Helper()
	for _, sql := range statements {
		if err := db.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
}

func number(t *testing.T, db driver.Conn, sql string, arguments ...any) uint64 {
	t.Helper()
	var n uint64
	if err := db.QueryRow(t.Context(), sql, arguments...).Scan(&n); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return n
}

// call sends a plain HTTP request, as curl does.
func httpCall(t *testing.T, server *ClickHouse, method, path, body string, headers ...string) (
	*http.Response, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, "http://"+server.Addr()+path,
		strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("X-ClickHouse-User", "default")
	request.Header.Set("X-ClickHouse-Key", testPassword)
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	transport := &http.Transport{DisableCompression: true}
	defer transport.CloseIdleConnections()
	response, err := transport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		text = append(text, " [cut]"...)
	}
	return response, string(text)
}

func wantCode(t *testing.T, err error, code int32) {
	t.Helper()
	var fault *clickhouse.Exception
	if !errors.As(err, &fault) {
		t.Errorf("got %v, want ClickHouse's error %d", err, code)
	} else if fault.Code != code {
		t.Errorf("got code %d, want %d: %v", fault.Code, code, err)
	}
}
