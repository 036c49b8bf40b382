package file

import (
	"bufio"
	"bytes"
	"testing"

	"tollstream/pipeline/batch"
)

// FuzzLines: every line that is not blank is one record, which no line makes larger than the bound.
func FuzzLines(f *testing.F) {
	f.Add([]byte(`{"call_id":"1","occurred_at":"2023-01-05T00:00:00Z"}` + "\r\n\n \t\n{\n[]\n"))
	f.Add([]byte(`{"arrived_at":"2023-01-05T00:00:00.5+08:00"}` + "\n\xff\x00\n" + `{"arrived_at":1}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		list, err := lines(bufio.NewReaderSize(bytes.NewReader(text), 16), batch.CallRecord,
			"occurred_at")
		if err != nil {
			t.Fatal(err)
		}
		want := 0
		for line := range bytes.SplitSeq(text, []byte("\n")) {
			if len(bytes.TrimSpace(line)) > 0 {
				want++
			}
		}
		if len(list) != want {
			t.Fatalf("%q has %d lines that are not blank, and gives %d records", text, want, len(list))
		}
		for i := range list {
			if len(list[i].Value) > lineBytesMax || list[i].Arrival.Topic == "" {
				t.Fatalf("record %d: %+v", i, list[i])
			}
		}
	})
}
