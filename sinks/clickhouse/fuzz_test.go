package clickhouse

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"tollstream/pipeline/canonical"
)

// FuzzDecodeBill: a bill that reads is written, and reads back, as the same.
func FuzzDecodeBill(f *testing.F) {
	files, err := filepath.Glob("../../schemas/topics/examples/billing.bills/*/*.json")
	if err != nil || len(files) == 0 {
		f.Fatalf("%d examples, %v", len(files), err)
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Add([]byte(`{"period":"2023-01","period_start":"2023-01-01T00:00:00Z","period_end":` +
		`"2023-02-01T00:00:00Z","closed_at":"2023-02-01T00:00:00Z","total":"1e2147483647"}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		b, err := DecodeBill(raw)
		if err != nil {
			return
		}
		text := canonical.Bill(b, time.UTC)
		again, err := DecodeBill(text)
		if err != nil {
			t.Fatalf("%s reads, and %s does not: %v", raw, text, err)
		}
		if more := canonical.Bill(again, time.UTC); !bytes.Equal(text, more) {
			t.Fatalf("%s\nis written %s\nand then %s", raw, text, more)
		}
	})
}
