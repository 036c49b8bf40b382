package apachekafka

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// HomeVariable names the environment variable with Options.Home. `make test-kafka` sets it; tests
// that need a broker are skipped without it, and fail with it when anything is missing.
const HomeVariable = "TOLLSTREAM_TEST_APACHE_KAFKA"

// ForTest starts a broker that ends with the test. Home and Dir need not be given. Where the test
// fails, the broker's log is kept below Home and the test says where.
func ForTest(t testing.TB, o Options) *Broker {
	t.Helper()
	o.Home, o.Dir = homeOrSkip(t), t.TempDir()
	b, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		b.Close()
		if t.Failed() {
			b.keepLog(t)
		}
	})
	return b
}

func homeOrSkip(t testing.TB) string {
	t.Helper()
	home := os.Getenv(HomeVariable)
	if home == "" {
		t.Skipf("needs Apache Kafka: run make test-kafka, which installs it and sets %s", HomeVariable)
	}
	return home
}

func (b *Broker) keepLog(t testing.TB) {
	kept := filepath.Join(b.options.Home, "logs", strings.ReplaceAll(t.Name(), "/", "_")+".log")
	if err := os.MkdirAll(filepath.Dir(kept), 0o750); err != nil {
		t.Error(err)
		return
	}
	if err := joinFiles(kept, b.LogFile()); err != nil {
		t.Error(err)
		return
	}
	t.Logf("the broker's log is kept in %s", kept)
}
