package chaos

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"tollstream/pipeline/catalog"
	"tollstream/pipeline/generate"
	"tollstream/pipeline/kafkalog"
)

// Options say what a round does.
type Options struct {
	Program  string // the built tollstream
	Folder   string // for data, logs and the timeline
	Seed     uint64
	Catalog  *catalog.Catalog
	Kills    int // of each kind
	Pause    [2]time.Duration
	Batches  [2]int        // the most records of a batch, of each of the two ingest processes
	Sweep    time.Duration // how often open days are counted again
	Workers  bool          // only ingest and settle are hurt, by kills, until everything is read
	Feed     generate.Options
	SettleIn time.Duration // how long everything may take once there are no more faults
	LackMax  time.Duration // how long a record may be committed and not stored then
}

// Wrong is what Round says where the pipeline made something that is not right, and not where the
// round itself could not be run or did not come to its end in time.
type Wrong struct{ error }

// wrong joins faults; nil where there are none.
func wrong(faults ...error) error {
	if err := errors.Join(faults...); err != nil {
		return Wrong{err}
	}
	return nil
}

// Round runs one round and gives what was done in one line. Its error tells what is wrong.
func Round(ctx context.Context, o Options) (report string, err error) {
	f, err := newFeed(o.Feed, o.Catalog)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(o.Folder, 0o700); err != nil {
		return "", err
	}
	w, err := startWorld(ctx, o, f.first)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	w.line.note("seed %d, %d records", o.Seed, f.total)
	if err := f.connect(w.kafka.addr(), w.line); err != nil {
		return "", err
	}
	started := time.Now()
	over := make(chan struct{})
	feeding, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		defer close(over)
		f.run(feeding, o.Seed)
	}()
	w.hurtBy(ctx, o, f)
	f.share.Store(shareWhole)
	select {
	case <-over:
	case <-time.After(o.SettleIn):
		return "", fmt.Errorf("the producer did not get rid of its records within %s", o.SettleIn)
	}
	hurt := time.Since(started)
	if err := w.settled(ctx, f, o); err != nil {
		return "", errors.Join(err, w.halts())
	}
	if err := errors.Join(w.check(ctx, f), w.halts()); err != nil {
		return "", err
	}
	return fmt.Sprintf("seed %d: %d records acknowledged, hurt for %s, in which %d of %d closings "+
		"were done, right %s later; %s", o.Seed, len(f.acked), hurt.Round(time.Second), w.closed,
		w.closings(f),
		(time.Since(started) - hurt).Round(time.Second), w.line.summary()), nil
}

// hurtBy hurts the world while records flow.
func (w *world) hurtBy(ctx context.Context, o Options, f *feed) {
	if o.Workers {
		f.share.Store(shareWhole)
		w.hurtWorkers(ctx, o.Seed, o.Pause, f)
		return
	}
	steps := plan(o.Seed, o.Kills, o.Pause)
	w.hurt(ctx, steps, func(done int) {
		f.share.Store(shareWhole * int64(done) / int64(len(steps)))
	})
}

// committed is how many offsets ingest has committed; all tells that it has nothing left to read.
func (w *world) committed(ctx context.Context, f *feed) (n int64, all bool, err error) {
	client, err := kafkalog.New(kafkalog.Options{Brokers: []string{w.kafka.addr()}})
	if err != nil {
		return 0, false, err
	}
	defer client.Close()
	all = f.sent.Load() == int64(f.total)
	for _, q := range f.queues {
		_, high, _, err := client.Offsets(ctx, q.topic, int(q.partition))
		if err != nil {
			return 0, false, err
		}
		committed, err := client.Committed(ctx, ingestGroup, q.topic)
		if err != nil {
			return 0, false, err
		}
		n += committed[int(q.partition)]
		all = all && committed[int(q.partition)] == high
	}
	return n, all, nil
}

// lost names the first record of a partition that was committed and is not stored, "" where there
// is none.
func (w *world) lost(ctx context.Context, f *feed) (string, error) {
	client, err := kafkalog.New(kafkalog.Options{Brokers: []string{w.kafka.addr()}})
	if err != nil {
		return "", err
	}
	defer client.Close()
	store, err := w.store(ctx)
	if err != nil {
		return "", err
	}
	defer store.Close() //nolint:errcheck // only read
	for _, q := range f.queues {
		committed, err := client.Committed(ctx, ingestGroup, q.topic)
		if err != nil {
			return "", err
		}
		below := committed[int(q.partition)]
		missing, err := store.FirstMissing(ctx, q.topic, q.partition, 0, below)
		if err != nil {
			return "", err
		}
		if missing < below {
			return fmt.Sprintf("%s/%d offset %d", q.topic, q.partition, missing), nil
		}
	}
	return "", nil
}

// settled waits until every closing is done and every process is ready. It does not wait for what
// cannot come any more: a record that stays lost.
func (w *world) settled(ctx context.Context, f *feed, o Options) error {
	var lost error
	var before string
	since := time.Now()
	err := eventually(ctx, o.SettleIn, func() error {
		undone := w.undone(ctx, f)
		if undone == nil {
			return nil
		}
		name, err := w.lost(ctx, f)
		if err != nil || name == "" || name != before {
			before, since = name, time.Now()
		}
		if time.Since(since) > o.LackMax {
			lost = fmt.Errorf("%s is committed and not stored, and nobody reads it again: %w", name,
				undone)
			return nil
		}
		return undone
	})
	if lost != nil {
		return wrong(lost)
	}
	if err != nil {
		return err
	}
	w.line.note("every closing is done")
	return eventually(ctx, startMax, func() error { return w.allReady(ctx) })
}

// undone says which closings are not done yet, nil where all are.
func (w *world) undone(ctx context.Context, f *feed) error {
	store, err := w.store(ctx)
	if err != nil {
		return err
	}
	defer store.Close() //nolint:errcheck // only read
	done, err := store.ClosedSettlements(ctx)
	if err != nil {
		return err
	}
	if w.closed < 0 {
		w.closed = len(done)
		w.line.note("%d closings are done by now", w.closed)
	}
	if n := len(done); n == 0 || done[n-1].ClosedAt < f.until {
		return fmt.Errorf("%d closings are done, the last one is due at %s", n,
			f.until.In(w.cat.Settings.Zone))
	}
	return nil
}

// logLines are the lines of a process's log.
func logLines(folder, name string) []string {
	text, err := os.ReadFile(filepath.Join(folder, name+".log"))
	if err != nil {
		return []string{err.Error()}
	}
	return strings.Split(strings.TrimSpace(string(text)), "\n")
}
