package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/catalog"
	"tollstream/pipeline/closing"
	"tollstream/pipeline/generate"
	"tollstream/pipeline/kafkalog"
	"tollstream/pipeline/stored"
	"tollstream/sinks/clickhouse"
	"tollstream/sinks/text"
)

// What the demo makes: one month of calls of accounts of every cohort.
const (
	demoSeed     = 3
	demoAccounts = 6
	demoCalls    = 60_000
)

var demoFrom, demoTo = billing.DateOf(2023, 2, 1), billing.DateOf(2023, 3, 1)

// demo is one run of `tollstream demo`.
type demo struct {
	cfg  *Config
	cat  *catalog.Catalog
	out  io.Writer
	once bool
}

func newDemoCommand() *cobra.Command {
	var once bool
	var keep string
	c := &cobra.Command{
		Use:   "demo",
		Short: "From nothing to closed, explained bills: broker, ClickHouse, calls, bills",
		Long: `Starts the embedded Kafka broker and ClickHouse in a fresh folder, generates a month of
calls of accounts of every cohort, runs the pipeline over them, closes the bills, prints one bill of
each cycle with its explanation, and goes on serving until interrupted.`,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := loadConfig(c)
			if err != nil {
				return err
			}
			folder, remove, err := demoFolder(keep)
			if err != nil {
				return err
			}
			defer remove()
			cfg.Embedded.DataDir = folder
			if !c.Flags().Changed("log.level") {
				cfg.Log.Level = "warn" // the demo tells its own story
			}
			cat, err := loadCatalog(cfg.Catalog)
			if err != nil {
				return err
			}
			d := &demo{cfg: cfg, cat: cat, out: c.OutOrStdout(), once: once}
			return d.run(c.Context(), c.ErrOrStderr())
		},
	}
	c.Flags().BoolVar(&once, "once", false, "exit after the bills are printed")
	c.Flags().StringVar(&keep, "keep", "", "empty or new folder to keep the data in "+
		"(default: a temporary one, removed at the end)")
	addConfigFlags(c)
	return c
}

// demoFolder is a fresh folder: the demo is about starting from nothing.
func demoFolder(keep string) (string, func(), error) {
	if keep == "" {
		dir, err := os.MkdirTemp("", "tollstream-demo-")
		return dir, func() { _ = os.RemoveAll(dir) }, err
	}
	entries, err := os.ReadDir(keep)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", nil, fmt.Errorf("--keep: %w", err)
	}
	if len(entries) > 0 {
		return "", nil, fmt.Errorf("--keep %s is not empty: give a new folder, or look at the data "+
			"with `tollstream embedded --embedded.data_dir %s`: %w", keep, keep, errUsage)
	}
	return keep, func() {}, os.MkdirAll(keep, 0o750)
}

func (d *demo) run(ctx context.Context, stderr io.Writer) error {
	started := time.Now()
	servers, err := startEmbedded(ctx, d.cfg, d.cat)
	if err != nil {
		return err
	}
	defer servers.Close()
	d.say("Kafka at %s and ClickHouse at http://%s are up (%s)", d.cfg.Kafka.Brokers[0],
		d.cfg.ClickHouse.Addr, since(started))

	if err := d.feed(ctx, stderr); err != nil {
		return err
	}
	logger, err := newLogger(d.cfg.Log, stderr)
	if err != nil {
		return err
	}
	// The generated month ends with the closing of its last day. Nothing later is closed: the log
	// has late calls of the days after it, which stay open.
	until := closing.MomentOf(d.cat, demoTo-1).At
	d.cfg.Settle.FirstClosing, d.cfg.Settle.Until = demoFrom-1, until
	system, err := build(ctx, d.cfg, logger)
	if err != nil {
		return err
	}
	defer system.Close()
	closings := make(chan *stored.Settlement)
	system.closed = func(s *stored.Settlement) { closings <- s }
	system.keepServing = !d.once

	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer close(closings)
		return system.Run(ctx)
	})
	group.Go(func() error {
		if err := d.follow(ctx, closings, until, started, stderr); err != nil {
			return err
		}
		return d.show(ctx, system.server.Addr())
	})
	return group.Wait()
}

func (d *demo) say(format string, args ...any) { fmt.Fprintf(d.out, format+"\n", args...) }

func since(t time.Time) string { return time.Since(t).Round(100 * time.Millisecond).String() }

// feed generates the month into Kafka. Record times are the arrivals of the generated month.
func (d *demo) feed(ctx context.Context, stderr io.Writer) error {
	started := time.Now()
	g, err := generate.New(generate.Options{
		Seed: demoSeed, Catalog: d.cat, From: demoFrom, To: demoTo, Accounts: demoAccounts,
		Calls: demoCalls, CallsTopic: d.cfg.Kafka.Topics.Calls[0],
		EventsTopic: d.cfg.Kafka.Topics.AccountEvents, CallPartitions: callPartitions,
		Rates: generate.DefaultRates(),
	})
	if err != nil {
		return err
	}
	transport, err := d.cfg.Kafka.Transport()
	if err != nil {
		return err
	}
	p, err := kafkalog.NewProducer(kafkalog.ProducerOptions{Brokers: d.cfg.Kafka.Brokers,
		Transport: transport})
	if err != nil {
		return err
	}
	defer p.Close() //nolint:errcheck // Produce waited for every acknowledgement
	bar := progress(stderr, demoCalls)
	defer bar.Finish()
	n, err := produceAll(ctx, p, g, func(n int) { bar.SetCurrent(int64(n)) })
	if err != nil {
		return err
	}
	d.say("%d records of %s are in Kafka, duplicates, late and malformed ones among them (%s)",
		n, demoFrom.Month(), since(started))
	return nil
}

// produceAll writes a generator's records, a bounded number at a time.
func produceAll(
	ctx context.Context, p *kafkalog.Producer, g *generate.Generator, progress func(int),
) (int, error) {
	const together = 5_000
	n := 0
	batch := make([]kafkalog.Outgoing, 0, together)
	flush := func() error {
		err := p.Produce(ctx, batch...)
		n += len(batch)
		batch = batch[:0]
		progress(n)
		return err
	}
	for r := range g.Records() {
		batch = append(batch, kafkalog.Outgoing{
			Topic: r.Topic, Fixed: true, Partition: int(r.Partition), Key: r.Key, Value: r.Value,
			Time: r.Arrived.Time(),
		})
		if len(batch) == together {
			if err := flush(); err != nil {
				return n, err
			}
		}
	}
	return n, flush()
}

// follow waits until the last closing is done.
func (d *demo) follow(
	ctx context.Context, closings <-chan *stored.Settlement, until billing.Instant,
	started time.Time, stderr io.Writer,
) error {
	bar := progress(stderr, int(demoTo-demoFrom)+1)
	defer bar.Finish()
	n := 0
	for {
		select {
		case s, open := <-closings:
			if !open {
				return errors.New("the pipeline ended before the bills were closed")
			}
			n++
			bar.SetCurrent(int64(n))
			if s.ClosedAt >= until {
				d.say("%d closings are done, every record below their barriers is accounted for "+
					"(%s since the start)", n, since(started))
				return nil
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// show prints one bill of each cycle, explained, and where the rest can be looked at.
func (d *demo) show(ctx context.Context, http string) error {
	store, err := openStore(ctx, d.cfg, d.cat)
	if err != nil {
		return err
	}
	defer store.Close() //nolint:errcheck // only read
	bills, err := store.Bills(ctx, clickhouse.BillFilter{})
	if err != nil {
		return err
	}
	d.say("%d bills. One of each cycle:", len(bills))
	for _, cycle := range []billing.Cycle{billing.Daily, billing.Monthly} {
		b := richest(bills, cycle)
		if b == nil {
			continue
		}
		d.say("")
		if err := text.Bill(d.out, b, d.cat.Settings.Zone); err != nil {
			return err
		}
		if err := text.Explain(d.out, b, 0, nil); err != nil {
			return err
		}
	}
	if !d.once {
		d.say("\nServing until interrupted (Ctrl-C): metrics at http://%s/metrics, readiness at "+
			"/readyz, bills at /v1/bills,\nSQL at http://%s (database %s), for example:\n  curl 'http://%s/?query=%s'",
			http, d.cfg.ClickHouse.Addr, d.cfg.ClickHouse.Database,
			d.cfg.ClickHouse.Addr, "SELECT+*+FROM+billing.bills+FORMAT+Vertical")
	}
	return nil
}

// richest is the bill that shows the most: kinds of lines, tiers, number of lines.
func richest(bills []*billing.Bill, cycle billing.Cycle) *billing.Bill {
	var best *billing.Bill
	score := func(b *billing.Bill) int {
		kinds := map[billing.LineKind]bool{}
		tiered := 0
		for i := range b.Lines {
			kinds[b.Lines[i].Kind] = true
			for _, step := range b.Lines[i].Explain {
				if b.Lines[i].Quantity >= 1000 && strings.Contains(step.Text, ", 1000 to 9999 at ") {
					tiered = 150
				}
			}
		}
		return tiered + 100*len(kinds) + min(99, len(b.Lines))
	}
	for _, b := range slices.Backward(bills) {
		if b.Period.Cycle == cycle && (best == nil || score(b) >= score(best)) {
			best = b
		}
	}
	return best
}
