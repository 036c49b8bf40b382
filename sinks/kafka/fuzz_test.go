package kafka

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// FuzzSettled: whatever stands on the settlements topic is taken or refused, and what is taken as a
// closing, a gap or an epoch says the same when it is written again.
func FuzzSettled(f *testing.F) {
	for _, pattern := range []string{"good", "bad"} {
		files, err := filepath.Glob("../../schemas/topics/examples/billing.settlements/" + pattern +
			"/*.json")
		if err != nil || len(files) == 0 {
			f.Fatalf("%d examples, %v", len(files), err)
		}
		for _, file := range files {
			value, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(value)
		}
	}
	p := New(nil, nil, Topics{}, time.UTC)
	f.Fuzz(func(t *testing.T, value []byte) {
		first := NewSettled(nil, settlements)
		if first.take(value) != nil {
			return
		}
		for _, again := range p.encoded(first) {
			second := NewSettled(nil, settlements)
			if err := second.take(again); err != nil {
				t.Fatalf("%s is taken, and %s is not: %v", value, again, err)
			}
			if more := p.encoded(second); len(more) != 1 || !bytes.Equal(more[0], again) {
				t.Fatalf("%s\nis written %s\nand then %s", value, again, more)
			}
		}
	})
}

// encoded writes what was taken as records again.
func (p *Publisher) encoded(s *Settled) [][]byte {
	var out [][]byte
	for _, closing := range s.closings { // a record gives one at most
		out = append(out, p.settlementJSON(closing))
	}
	for i := range s.gaps {
		out = append(out, p.gapJSON(&s.gaps[i]))
	}
	for topic := range s.epochs {
		last := s.epochs.Last(topic)
		out = append(out, p.epochJSON(&last))
	}
	return out
}
