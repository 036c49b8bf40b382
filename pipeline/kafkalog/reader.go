package kafkalog

import (
	"context"
	"errors"
	"fmt"

	"github.com/segmentio/kafka-go"
)

// errCaughtUp marks an answer "out of range" that the log's bounds do not bear out: they moved
// between the two questions, so the fetch is tried again.
var errCaughtUp = fmt.Errorf("the log's bounds moved: %w", kafka.OffsetNotAvailable)

// Fetch reads one partition from offset on, waiting up to MaxWait for something to read. No
// records and a nil error mean that nothing decided stands at or after offset yet.
func (c *Client) Fetch(ctx context.Context, topic string, partition int,
	offset int64) (Fetched, error) {
	got, err := c.FetchMany(ctx, []Position{{topic, partition, offset}})
	if err != nil {
		return Fetched{}, err
	}
	return got[0], nil
}

// FetchMany reads several partitions with one request per leader broker and waits for all leaders.
// On success there is one Fetched per position, in their order. When some partitions fail for
// good, the others' are returned together with the joined errors; a failing partition that may
// recover is retried within RetryFor and holds up the others meanwhile, so partitions that must
// not wait for each other are fetched apart.
func (c *Client) FetchMany(ctx context.Context, positions []Position) ([]Fetched, error) {
	if err := checkPositions(positions); err != nil {
		return nil, err
	}
	n := len(positions)
	f := &fetching{c: c, positions: positions, done: make([]Fetched, n), errs: make([]error, n),
		unknown: make([]int, n)}
	turn := int(c.turn.Add(1) % uint64(max(n, 1)))
	for i := range positions {
		// Brokers fill partitions in the order of the request until MaxBytes, so each goes first
		// in its turn.
		f.pending = append(f.pending, (i+turn)%n)
	}
	if len(f.pending) > 0 {
		err := c.retry(ctx, "fetch", "", func() error { return f.once(ctx) })
		if ctx.Err() != nil {
			return nil, fmt.Errorf("fetch: %w", context.Cause(ctx))
		}
		f.giveUp(err)
	}
	return f.result()
}

func checkPositions(positions []Position) error {
	seen := make(map[Position]bool, len(positions))
	for _, p := range positions {
		key := Position{Topic: p.Topic, Partition: p.Partition}
		if seen[key] {
			return fmt.Errorf("fetch: %s/%d is asked for twice in one call", p.Topic, p.Partition)
		}
		if p.Offset < 0 || p.Partition < 0 {
			return fmt.Errorf("fetch %s/%d at offset %d: offsets and partitions begin at 0; "+
				"use Offsets for the log's bounds", p.Topic, p.Partition, p.Offset)
		}
		seen[key] = true
	}
	return nil
}

// fetching is one FetchMany under way. A position is pending, or done, or failed; errs has the
// last error of what is pending and the verdict on what failed.
type fetching struct {
	c         *Client
	positions []Position
	done      []Fetched
	errs      []error
	unknown   []int // how often a position's topic or partition was not known
	pending   []int
}

// once asks for all pending positions. It returns an error while one of them may yet recover.
func (f *fetching) once(ctx context.Context) error {
	answer, err := f.c.send(ctx, f.request())
	if err != nil {
		return err
	}
	f.pending = nil
	var last error
	for _, part := range answer.(*fetchResponse).parts {
		i := part.index
		f.errs[i] = f.take(ctx, &part)
		if unknownTopic(f.errs[i]) {
			f.unknown[i]++
		}
		if retriable(f.errs[i]) && f.unknown[i] < unknownTriesMax {
			f.pending, last = append(f.pending, i), f.errs[i]
		}
	}
	return last
}

// request asks for what is pending.
func (f *fetching) request() *fetchRequest {
	o := &f.c.opts
	r := &fetchRequest{clientID: o.ClientID, maxWaitMs: int32(o.MaxWait.Milliseconds()),
		minBytes: int32(o.MinBytes), maxBytes: int32(o.MaxBytes),
		partMaxBytes: int32(o.MaxPartitionBytes)}
	for _, i := range f.pending {
		p := f.positions[i]
		r.parts = append(r.parts, fetchPart{i, p.Topic, int32(p.Partition), p.Offset})
	}
	return r
}

// take turns one partition's answer into a Fetched.
func (f *fetching) take(ctx context.Context, part *fetchedPart) error {
	p := f.positions[part.index]
	switch {
	case errors.Is(part.err, kafka.OffsetOutOfRange):
		return f.c.outOfRange(ctx, p)
	case part.err != nil && !retriable(part.err):
		return &PartitionError{"fetch", p.Topic, p.Partition, part.err}
	case part.err != nil:
		return part.err
	}
	out := Fetched{Topic: p.Topic, Partition: p.Partition, Next: p.Offset,
		HighWatermark: part.highWatermark, LastStable: part.lastStable, LogStart: part.logStart,
		memory: &memory{answer: part.answer}}
	partial, err := decodeSet(part.raw, part.aborted, &out)
	if err != nil && out.Next == p.Offset {
		return err // what stands before a bad batch is delivered first; then it comes first
	}
	if partial && out.Next == p.Offset {
		return &PartitionError{"fetch", p.Topic, p.Partition, fmt.Errorf("the batch at offset %d "+
			"does not fit in MaxPartitionBytes (%d): raise it", p.Offset, f.c.opts.MaxPartitionBytes)}
	}
	f.done[part.index] = out
	return nil
}

// giveUp gives the positions that retrying did not help their typed errors. err is what ended the
// retries, for positions that never got an answer of their own.
func (f *fetching) giveUp(err error) {
	for _, i := range f.pending {
		if f.errs[i] == nil {
			f.errs[i] = err
		}
	}
	for i, err := range f.errs {
		p := f.positions[i]
		var gone *Unavailable
		what := fmt.Sprintf("fetch %s/%d", p.Topic, p.Partition)
		if err != nil && retriable(err) && !errors.As(err, &gone) {
			f.errs[i] = typed(what, p.Topic, f.c.opts.Brokers, err)
		}
	}
}

// result leaves the failed positions out and joins their errors.
func (f *fetching) result() ([]Fetched, error) {
	var good []Fetched
	var faults []error
	for i, err := range f.errs {
		if err != nil {
			faults = append(faults, err)
			continue
		}
		good = append(good, f.done[i])
	}
	if len(faults) == 1 {
		return good, faults[0]
	}
	return good, errors.Join(faults...)
}

// outOfRange asks for the log's bounds, which the refusal itself does not carry.
func (c *Client) outOfRange(ctx context.Context, p Position) error {
	start, high, _, err := c.Offsets(ctx, p.Topic, p.Partition)
	if err != nil {
		return fmt.Errorf("fetch %s/%d at offset %d: out of range, and its bounds are not known: %w",
			p.Topic, p.Partition, p.Offset, err)
	}
	if p.Offset >= start && p.Offset <= high {
		return errCaughtUp
	}
	return &OffsetOutOfRange{p.Topic, p.Partition, p.Offset, start, high}
}
