package main

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/canonical"
	"tollstream/pipeline/catalog"
	"tollstream/sinks/clickhouse"
)

// builtProgram is the program built without the race detector, under which libchdb cannot run.
var (
	builtFolder  string
	builtProgram = sync.OnceValues(func() (path string, err error) {
		if builtFolder, err = os.MkdirTemp("", "tollstream-test-"); err != nil {
			return "", err
		}
		path = filepath.Join(builtFolder, "tollstream")
		out, err := exec.Command("go", "build", "-race=false", "-o", path, ".").CombinedOutput()
		if err != nil {
			return "", fmt.Errorf("build: %w: %s", err, out)
		}
		return path, nil
	})
)

func TestMain(m *testing.M) {
	status := m.Run()
	if builtFolder != "" {
		_ = os.RemoveAll(builtFolder)
	}
	os.Exit(status)
}

// testWorld is an embedded broker and ClickHouse with a configuration that points at them.
type testWorld struct {
	cfg     *Config
	cat     *catalog.Catalog
	servers *servers
	logger  *slog.Logger
}

func newTestWorld(t *testing.T, dir string) *testWorld {
	t.Helper()
	return newTestWorldWith(t, dir, "")
}

func newTestWorldWith(t *testing.T, dir, password string) *testWorld {
	t.Helper()
	w := testWorldWithout(t, dir, password)
	var err error
	if w.servers, err = startEmbedded(t.Context(), w.cfg, w.cat); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.servers.Close() })
	return w
}

// testWorldWithout is a world whose servers are not started yet.
func testWorldWithout(t *testing.T, dir, password string) *testWorld {
	t.Helper()
	program, err := builtProgram()
	if err != nil {
		t.Fatal(err)
	}
	cfg := DefaultConfig()
	cfg.Embedded.DataDir, cfg.Embedded.executable = dir, program
	cfg.Embedded.KafkaListen, cfg.Embedded.ClickHouseListen = "127.0.0.1:0", "127.0.0.1:0"
	cfg.HTTP.Listen = "127.0.0.1:0"
	cfg.ClickHouse.Password = Secret(password)
	cfg.Ingest.BatchAgeMax = 50 * time.Millisecond
	cfg.Settle.RetryMax = cfg.Settle.RetryMin
	cfg.Kafka.Fetch.MaxWait = 50 * time.Millisecond
	cat, err := loadCatalog("")
	if err != nil {
		t.Fatal(err)
	}
	return &testWorld{cfg: cfg, cat: cat,
		logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelInfo}))}
}

// limit is generous: the machines that run these tests are small and shared.
const limit = 8 * time.Minute

// eventually waits for a condition; say tells what was seen last.
func eventually(t *testing.T, what string, look func() (ok bool, say string)) {
	t.Helper()
	for deadline := time.Now().Add(limit); ; time.Sleep(50 * time.Millisecond) {
		ok, say := look()
		if ok {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("it never came to pass that %s; last: %s", what, say)
		}
	}
}

// runUntil runs the pipeline until everything up to a time is closed.
func (w *testWorld) runUntil(t *testing.T, until billing.Instant) {
	t.Helper()
	w.cfg.Settle.Until = until
	s, err := build(t.Context(), w.cfg, w.logger)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	if err := s.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if ctx.Err() != nil {
		t.Fatalf("the stream did not finish: %+v", s.health.Report())
	}
}

// bills reads the bills back, in the order of the contract.
func (w *testWorld) bills(t *testing.T) []byte {
	t.Helper()
	store, err := openStore(t.Context(), w.cfg, w.cat)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close() //nolint:errcheck // only read
	bills, err := store.Bills(t.Context(), clickhouse.BillFilter{})
	if err != nil {
		t.Fatal(err)
	}
	return billText(w.cat, bills)
}

func billText(cat *catalog.Catalog, bills []*billing.Bill) []byte {
	var lines [][]byte
	for _, b := range bills {
		lines = append(lines, canonical.Bill(b, cat.Settings.Zone))
	}
	slices.SortFunc(lines, bytes.Compare)
	return bytes.Join(lines, []byte("\n"))
}
