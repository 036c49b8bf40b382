package main

import (
	"cmp"
	"context"
	"fmt"

	"github.com/cespare/xxhash/v2"
	"github.com/segmentio/kafka-go"
	"golang.org/x/sync/errgroup"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/catalog"
	"tollstream/pipeline/decode"
	"tollstream/pipeline/generate"
	"tollstream/pipeline/kafkalog"
)

// loaded says what the topic holds.
type loaded struct {
	Records      int64   // of calls, copies included
	Events       int64   // account events
	Duplicates   int64   // records that repeat a call
	BytesARecord float64 // of a record's value
	right        answers
	first        billing.Day     // that is closed
	until        billing.Instant // closing after which nothing is left to close
}

// sentTogether is how many records a producer sends at once: about a thousand for each partition.
const sentTogether = 6000

// load writes call records and the events of their accounts, the same for the same options, and
// keeps the right answers.
func load(
	ctx context.Context, broker string, o *ingestOptions, cat *catalog.Catalog,
) (*loaded, error) {
	from := cmp.Or(o.from, billing.DateOf(2023, 2, 1))
	g, err := generate.New(generate.Options{
		Seed: o.Seed, Catalog: cat, Accounts: o.Accounts, CallPartitions: int32(o.Partitions),
		From: from, To: from + 2,
		CallsTopic: callsTopic, EventsTopic: eventsTopic,
		Calls: int(float64(o.Records) / (1 + duplicates)),
		Rates: generate.Rates{Duplicates: duplicates},
	})
	if err != nil {
		return nil, err
	}
	producer, err := kafkalog.NewProducer(kafkalog.ProducerOptions{Brokers: []string{broker},
		Compression: kafka.Lz4})
	if err != nil {
		return nil, err
	}
	defer producer.Close() //nolint:errcheck // everything was acknowledged by Produce
	l := &loader{cat: cat, calls: decode.NewCalls(cat),
		loaded: loaded{right: answers{}, first: g.FirstClosing()}}
	group, ctx := errgroup.WithContext(ctx)
	ready := make(chan []kafkalog.Outgoing)
	group.Go(func() error {
		defer close(ready)
		return l.make(ctx, g, ready)
	})
	group.Go(func() error {
		for together := range ready {
			if err := producer.Produce(ctx, together...); err != nil {
				return err
			}
		}
		return nil
	})
	if err := group.Wait(); err != nil {
		return nil, err
	}
	l.until = g.Until()
	l.BytesARecord = float64(l.bytes) / float64(l.Records)
	return &l.loaded, nil
}

// make makes and counts records while others are sent, and gives some at a time.
func (l *loader) make(
	ctx context.Context, g *generate.Generator, ready chan<- []kafkalog.Outgoing,
) error {
	var together []kafkalog.Outgoing
	give := func() error {
		select {
		case ready <- together:
			together = nil
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	for r := range g.Records() {
		r.Value = lengthened(&r)
		if err := l.count(&r); err != nil {
			return err
		}
		together = append(together, kafkalog.Outgoing{Topic: r.Topic, Fixed: true,
			Partition: int(r.Partition), Key: r.Key, Value: r.Value, Time: r.Arrived.Time()})
		if len(together) == sentTogether {
			if err := give(); err != nil {
				return err
			}
		}
	}
	return give()
}

// duplicates is the share of calls that are delivered again.
const duplicates = 0.01

// loader counts what is sent.
type loader struct {
	loaded
	cat   *catalog.Catalog
	calls *decode.Calls
	bytes int64
}

func (l *loader) count(r *generate.Record) error {
	if r.Topic == eventsTopic {
		l.Events++
		return nil
	}
	c, refusal := l.calls.Decode(r.Value, billing.Arrival{Appended: r.Arrived})
	if refusal != nil {
		return fmt.Errorf("a generated call is refused: %s: %s", refusal.Reason, refusal.Detail)
	}
	l.Records++
	l.bytes += int64(len(r.Value))
	if r.Copy {
		l.Duplicates++
		return nil
	}
	l.right.add(&c, l.cat)
	return nil
}

// lengthened gives a call what its log has beside what is billed by: where it was made and how long
// it took. No contender reads it.
func lengthened(r *generate.Record) []byte {
	if r.Topic != callsTopic {
		return r.Value
	}
	return fmt.Appendf(r.Value[:len(r.Value)-1], `,"region":"ap-guangzhou","duration_ms":%d}`,
		50+xxhash.Sum64(r.Value)%1950)
}
