package kafka

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/kafkalog"
	"tollstream/pipeline/stored"
)

// Settled is what the settlements topic says so far. What was read before is kept: the topic only
// grows, and it is looked at again and again while a closing waits.
type Settled struct {
	log   Log
	topic string

	mu       sync.Mutex
	next     int64                              // offset
	closings map[billing.Day]*stored.Settlement // the first record of each closing
	catalogs map[string][]byte                  // by the digest that the bytes give
	gaps     []stored.Gap
	epochs   stored.Epochs
}

// NewSettled reads the topic when it is first asked.
func NewSettled(log Log, topic string) *Settled {
	return &Settled{log: log, topic: topic, closings: map[billing.Day]*stored.Settlement{},
		catalogs: map[string][]byte{}, epochs: stored.Epochs{}}
}

// Settlements gives the first record of each closing, by the day that closes (B21).
func (s *Settled) Settlements(
	ctx context.Context,
) (map[billing.Day]*stored.Settlement, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.readOn(ctx); err != nil {
		return nil, err
	}
	return maps.Clone(s.closings), nil
}

// Gaps gives the accepted gaps that count, in the order in which they were accepted.
func (s *Settled) Gaps(ctx context.Context) ([]stored.Gap, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.readOn(ctx)
	return slices.Clone(s.gaps), err
}

// Epochs gives the epochs of topics that count.
func (s *Settled) Epochs(ctx context.Context) (stored.Epochs, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.readOn(ctx)
	return maps.Clone(s.epochs), err
}

// CatalogFile gives the file of a catalogue that is kept on the topic, nil where there is none.
func (s *Settled) CatalogFile(ctx context.Context, digest string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if file := s.catalogs[digest]; file != nil {
		return file, nil
	}
	if err := s.readOn(ctx); err != nil {
		return nil, err
	}
	return s.catalogs[digest], nil
}

// readOn takes in what was appended since the last time.
func (s *Settled) readOn(ctx context.Context) error {
	start, end, _, err := s.log.Offsets(ctx, s.topic, 0)
	if err != nil {
		return fmt.Errorf("read %s: %w", s.topic, err)
	}
	for s.next = max(s.next, start); s.next < end; {
		f, err := s.log.Fetch(ctx, s.topic, 0, s.next)
		if err != nil {
			return fmt.Errorf("read %s: %w", s.topic, err)
		}
		for i := range f.Records {
			r := &f.Records[i]
			if r.Outcome != kafkalog.Data {
				continue
			}
			if err := s.take(r.Value); err != nil {
				return fmt.Errorf("%s offset %d: %w", s.topic, r.Offset, err)
			}
		}
		s.next = f.Next
	}
	return nil
}

// take keeps one record. A kind that is not known here was written by a newer version, and may be
// about what closings see, so that going on without it could make other bills.
func (s *Settled) take(value []byte) error {
	var r struct{ Kind, File string }
	if err := json.Unmarshal(value, &r); err != nil {
		return fmt.Errorf("it is no JSON object: %w", err)
	}
	switch r.Kind {
	case kindClosing:
		closing, err := parseSettlement(value)
		if err != nil {
			return fmt.Errorf("it is no settlement: %w", err)
		}
		if s.closings[closing.Day] == nil { // the first record counts
			s.closings[closing.Day] = closing
		}
	case kindCatalog:
		sum := sha256.Sum256([]byte(r.File))
		s.catalogs[hex.EncodeToString(sum[:])] = []byte(r.File)
	case kindGap:
		var gap stored.Gap
		if err := json.Unmarshal(value, &gap); err != nil {
			return fmt.Errorf("it is no accepted gap: %w", err)
		}
		s.gaps = stored.AddGap(s.gaps, gap)
	case kindEpoch:
		epoch, err := parseEpoch(value)
		if err != nil {
			return fmt.Errorf("it is no epoch: %w", err)
		}
		s.epochs.Add(epoch)
	default:
		return fmt.Errorf("a record of kind %q is not known to this version; start the newer one "+
			"that wrote it", r.Kind)
	}
	return nil
}
