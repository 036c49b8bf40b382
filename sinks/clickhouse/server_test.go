package clickhouse

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"tollstream/deploy/embedded"
	"tollstream/pipeline/settle"
	"tollstream/schemas/clickhouse/cluster/clustertest"
)

// The tests run against the embedded ClickHouse, a real engine behind HTTP, in a process of its
// own that is built without the race detector. Each test has its own database.
const testPassword = "open sesame"

var (
	server       *embedded.ClickHouse
	serverFault  error
	databaseNext atomic.Int32
	testDims     = []string{"channel", "action", "compare_source", "intention", "edition"}
)

func TestMain(m *testing.M) { os.Exit(runTests(m)) }

func runTests(m *testing.M) int {
	dir, err := os.MkdirTemp("", "tollstream-clickhouse-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a left-over folder hurts nobody
	server, serverFault = startServer(dir)
	if serverFault == nil {
		defer server.Close() //nolint:errcheck // it dies with the process
	}
	return m.Run()
}

func startServer(dir string) (*embedded.ClickHouse, error) {
	if _, err := embedded.LocateLibrary(""); err != nil {
		return nil, err
	}
	binary := filepath.Join(dir, "chserver")
	build := exec.Command("go", "build", "-race=false", "-o", binary,
		"tollstream/deploy/embedded/internal/chserver")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build the embedded server: %w: %s", err, out)
	}
	config := filepath.Join(dir, "config.xml")
	if err := os.WriteFile(config, []byte(clustertest.Config), 0o600); err != nil {
		return nil, err
	}
	return embedded.StartClickHouse(context.Background(), embedded.ClickHouseOptions{
		ServeOptions: embedded.ServeOptions{
			Listen: "127.0.0.1:0", DataDir: filepath.Join(dir, "data"), Password: testPassword,
			Config: config,
		},
		Executable: binary, Args: []string{"serve"}, LogWriter: os.Stderr,
	})
}

// needServer skips on a laptop without the library, and fails where CI is set.
func needServer(t testing.TB) {
	t.Helper()
	switch {
	case serverFault == nil:
	case os.Getenv("CI") != "":
		t.Fatalf("no embedded ClickHouse: %v", serverFault)
	default:
		t.Skipf("no embedded ClickHouse: %v", serverFault)
	}
}

// freshOptions names a database that does not exist yet.
func freshOptions(t testing.TB) Options {
	t.Helper()
	needServer(t)
	return Options{
		Addr: server.Addr(), Password: testPassword, Compression: "none", Dims: testDims,
		Database: fmt.Sprintf("test_%d", databaseNext.Add(1)),
	}
}

// newStore gives an empty, migrated database.
func newStore(t testing.TB) *Store {
	t.Helper()
	options := freshOptions(t)
	if _, err := Migrate(t.Context(), options, false); err != nil {
		t.Fatal(err)
	}
	return reopen(t, options)
}

func reopen(t testing.TB, options Options) *Store {
	t.Helper()
	s, err := Open(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = s.Close()
	})
	return s
}

// writeChunk stores one chunk.
func writeChunk(t testing.TB, s *Store, c *settle.Chunk) error {
	rows := s.ChunkRows()
	if err := rows.Add(t.Context(), c); err != nil {
		return err
	}
	return rows.Store(t.Context())
}

// rowTexts runs a query and gives its rows as text, the columns separated by spaces.
func rowTexts(t testing.TB, s *Store, columns, rest string, args ...any) []string {
	t.Helper()
	list := strings.Split(columns, ", ")
	for i := range list {
		list[i] = "toString(" + list[i] + ")"
	}
	rows, err := s.conn.Query(t.Context(),
		"SELECT arrayStringConcat(["+strings.Join(list, ", ")+"], ' ') "+rest, args...)
	if err != nil {
		t.Fatalf("%v: %s", err, rest)
	}
	defer rows.Close() //nolint:errcheck // only read
	var out []string
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			t.Fatal(err)
		}
		out = append(out, line)
	}
	if err := rows.Err(); err != nil {
		t.Fatalf("%v: %s", err, rest)
	}
	return out
}
