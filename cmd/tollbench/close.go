package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"tollstream/deploy/embedded"
	"tollstream/pipeline/billing"
	"tollstream/pipeline/catalog"
	"tollstream/pipeline/kafkalog"
	"tollstream/schemas"
)

// closeOptions are the flags of `tollbench close`.
type closeOptions struct {
	Accounts, Beside, Partitions int
	Patience                     time.Duration
	Out                          string `json:"-"`
	Program                      string `json:"-"`
	self                         string
}

func newCloseCommand() *cobra.Command {
	o := &closeOptions{}
	c := &cobra.Command{
		Use:   "close",
		Short: "Measure the closing of a day of many accounts",
		Long: `Opens accounts on one day, closes it, and measures the closing of the next, on which each account
has a call of three billing tags: from the record that makes the closing due to the line in the log
that says that it is done. Does the same with --beside accounts, to compare the cost of one. What
was closed is compared with what has to be there before a time counts. Prints both, and writes
close.json into --out.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) (err error) {
			if o.self, err = os.Executable(); err != nil {
				return err
			}
			r, err := measureClosings(c.Context(), o, c.ErrOrStderr())
			if err != nil {
				return err
			}
			fmt.Fprint(c.OutOrStdout(), r.text())
			return saveJSON(o.Out, "close.json", r)
		},
	}
	f := c.Flags()
	f.IntVar(&o.Accounts, "accounts", 100_000, "accounts that are closed")
	f.IntVar(&o.Beside, "beside", 10_000, "accounts of the run that it is compared with; 0 for none")
	f.IntVar(&o.Partitions, "partitions", 6, "partitions of the topic of calls")
	f.DurationVar(&o.Patience, "patience", time.Hour, "how long one run may take")
	f.StringVar(&o.Out, "out", "build/bench", "folder for the results")
	f.StringVar(&o.Program, "program", "build/tollstream", "the built tollstream")
	return c
}

// closeRun is one closing that was measured.
type closeRun struct {
	Accounts           int
	Seconds            float64 // of the whole closing, waiting for its records included
	Settle, ClickHouse usage   // peaks are those of the closing
	// Afterwards is what ClickHouse went on to use for merges, in CPU seconds.
	Afterwards float64
	Kernel     rated
	Loaded     float64 // seconds it took to bring records and accounts in
}

// closeBench is one run under way.
type closeBench struct {
	*closeOptions
	accounts int
	cat      *catalog.Catalog
	notes    io.Writer
	target   *target
	server   *embedded.ClickHouse
	settle   *process
	feed     *closeFeed
	right    rated
}

func measureClosings(ctx context.Context, o *closeOptions, notes io.Writer) (*closeReport, error) {
	cat, err := catalog.Parse("faceid/catalog.yaml", schemas.FaceIDCatalog())
	if err != nil {
		return nil, err
	}
	r := newCloseReport(o)
	for _, n := range []int{o.Beside, o.Accounts} {
		if n == 0 {
			continue
		}
		b := &closeBench{closeOptions: o, accounts: n, cat: cat, notes: notes}
		one, err := b.run(ctx)
		if err != nil {
			return nil, fmt.Errorf("%d accounts: %w", n, err)
		}
		r.Runs = append(r.Runs, one)
	}
	r.finish()
	return r, nil
}

// run brings the records in, closes the day before, and measures the closing.
func (b *closeBench) run(ctx context.Context) (one *closeRun, err error) {
	ctx, stop := context.WithTimeout(ctx, b.Patience)
	defer stop()
	started := time.Now()
	end, err := b.start(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	loaded := time.Since(started).Seconds()
	b.note("%d accounts: the day before is closed, after %.0f s", b.accounts, loaded)
	if one, err = b.timed(ctx); err != nil {
		return nil, err
	}
	one.Loaded = loaded
	b.note("%d accounts: closed in %.1f s", b.accounts, one.Seconds)
	return one, b.check(ctx)
}

// start starts the servers and prepares the closing; end ends all that.
func (b *closeBench) start(ctx context.Context) (end func(), err error) {
	var ends []func()
	endAll := func() {
		for _, f := range slices.Backward(ends) {
			f()
		}
	}
	defer func() {
		if err != nil {
			endAll()
		}
	}()
	if b.right, err = rateAlone(b.cat, b.accounts); err != nil {
		return nil, err
	}
	folder, err := os.MkdirTemp("", "tollbench-")
	if err != nil {
		return nil, err
	}
	ends = append(ends, func() { _ = os.RemoveAll(folder) })
	broker, address, err := startBroker(ctx, b.self, folder, b.Partitions)
	if err != nil {
		return nil, fmt.Errorf("start the broker: %w", err)
	}
	ends = append(ends, broker.stop)
	within := &bench{cat: b.cat, folder: folder, broker: address, ingestOptions: &ingestOptions{
		Partitions: b.Partitions, Program: b.Program, self: b.self}}
	if b.server, b.target, err = within.newTarget(ctx, 0); err != nil {
		return nil, err
	}
	ends = append(ends, b.server.Kill, func() { _ = b.target.conn.Close() })
	err = b.prepare(ctx)
	if b.settle != nil {
		ends = append(ends, b.settle.stop)
	}
	return endAll, err
}

func (b *closeBench) note(format string, args ...any) {
	fmt.Fprintf(b.notes, format+"\n", args...)
}

// prepare sends the records, has them stored, and starts the process that closes: it closes the day
// before and then waits for a record of the time at which the day closes.
func (b *closeBench) prepare(ctx context.Context) error {
	producer, err := kafkalog.NewProducer(
		kafkalog.ProducerOptions{Brokers: []string{b.target.broker}})
	if err != nil {
		return err
	}
	b.feed = &closeFeed{producer: producer, accounts: b.accounts, partitions: b.Partitions,
		zone: b.cat.Settings.Zone}
	// One after the other, so that the accounts are known when their calls arrive.
	for _, send := range []func(context.Context) error{b.feed.open, b.feed.day} {
		if err := send(ctx); err != nil {
			return fmt.Errorf("send the records: %w", err)
		}
		if err := b.ingest(ctx); err != nil {
			return err
		}
	}
	b.note("%d accounts: %d events and %d calls are stored", b.accounts, b.feed.events, b.feed.calls)
	b.settle, err = startProcess(b.target.folder, b.Program, b.flags("settle", "--log.format", "json",
		"--settle.first_closing", closeDay.String())...)
	if err != nil {
		return err
	}
	if _, err := b.closed(ctx, closeDay); err != nil {
		return err
	}
	return b.quiet(ctx)
}

func (b *closeBench) flags(role string, more ...string) []string {
	t := b.target
	return append([]string{"run", "--roles", role, "--kafka.brokers", t.broker,
		"--kafka.group", t.group, "--clickhouse.addr", t.clickhouse,
		"--clickhouse.database", t.database,
		"--clickhouse.compression", "none", // all is on one machine
		"--time.mode", "simulated_time", "--http.listen", "127.0.0.1:0"}, more...)
}

// ingest stores everything that was sent.
func (b *closeBench) ingest(ctx context.Context) error {
	p, err := startProcess(b.target.folder, b.Program, b.flags("ingest", "--log.level", "warn")...)
	if err != nil {
		return err
	}
	defer p.stop()
	for {
		var events, calls uint64
		err := b.target.conn.QueryRow(ctx, `SELECT countIf(topic = ?), countIf(topic = ?)
			FROM (SELECT DISTINCT topic, partition, offset FROM deliveries)`, eventsTopic, callsTopic).
			Scan(&events, &calls)
		if err != nil {
			return err
		}
		if events == uint64(b.feed.events) && calls == uint64(b.feed.calls) {
			return nil
		}
		if err := b.pause(ctx, p, time.Second); err != nil {
			return err
		}
	}
}

// pause waits a moment while a process goes on.
func (b *closeBench) pause(ctx context.Context, p *process, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-p.exited:
		return p.ended()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// closed waits for the line in the log that says that a day is closed, and gives the time.
func (b *closeBench) closed(ctx context.Context, day billing.Day) (time.Time, error) {
	word := `"msg":"closed","day":"` + day.String() + `"`
	for {
		text, err := os.ReadFile(b.settle.log)
		if err != nil {
			return time.Time{}, err
		}
		if strings.Contains(string(text), word) {
			return time.Now(), nil
		}
		if strings.Contains(string(text), `"level":"ERROR"`) {
			return time.Time{}, errors.New(string(text))
		}
		if err := b.pause(ctx, b.settle, lookEvery); err != nil {
			return time.Time{}, err
		}
	}
}

// quiet waits until ClickHouse has nothing left to merge.
func (b *closeBench) quiet(ctx context.Context) error {
	for quiet := 0; quiet < 3; {
		var merges uint64
		err := b.target.conn.QueryRow(ctx, "SELECT count() FROM system.merges").Scan(&merges)
		if err != nil {
			return err
		}
		if quiet++; merges > 0 {
			quiet = 0
		}
		if err := b.pause(ctx, b.settle, time.Second); err != nil {
			return err
		}
	}
	return nil
}

// timed sends the records that make the closing due and waits until it is done.
func (b *closeBench) timed(ctx context.Context) (*closeRun, error) {
	one := &closeRun{Accounts: b.accounts, Kernel: b.right}
	pid, server := b.settle.pid(), b.server.PID()
	for _, p := range []int{pid, server} {
		if err := forgetPeak(p); err != nil {
			return nil, err
		}
	}
	before, err := usageOfBoth(pid, server)
	if err != nil {
		return nil, err
	}
	started := time.Now()
	if err := b.feed.end(ctx); err != nil {
		return nil, err
	}
	done, err := b.closed(ctx, closeDay+1)
	if err != nil {
		return nil, err
	}
	one.Seconds = done.Sub(started).Seconds()
	after, err := usageOfBoth(pid, server)
	if err != nil {
		return nil, err
	}
	one.Settle = usage{CPU: after[0].CPU - before[0].CPU, Peak: after[0].Peak}
	one.ClickHouse = usage{CPU: after[1].CPU - before[1].CPU, Peak: after[1].Peak}
	if err := b.quiet(ctx); err != nil {
		return nil, err
	}
	later, err := usageOf(server)
	one.Afterwards = later.CPU - after[1].CPU
	return one, err
}

// forgetPeak begins the peak of a process's memory anew, from what is resident now.
func forgetPeak(pid int) error {
	return os.WriteFile(filepath.Join("/proc", strconv.Itoa(pid), "clear_refs"), []byte("5"), 0)
}
