package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"tollstream/pipeline/catalog"
	"tollstream/pipeline/ingest"
	"tollstream/pipeline/observe"
	"tollstream/pipeline/rebuild"
	"tollstream/pipeline/roster"
	"tollstream/pipeline/stored"
	"tollstream/sinks/clickhouse"
	"tollstream/sinks/kafka"
)

// errRebuiltOther ends a rebuild that found something with exit status 1.
var errRebuiltOther = errors.New("the rebuilt records differ from the output topics")

func newRebuildCommand() *cobra.Command {
	var resume bool
	var metricsFile string
	c := &cobra.Command{
		Use:   "rebuild",
		Short: "Make a ClickHouse database again from the topics, and compare the bills",
		Long: `Fills the empty database clickhouse.database from Kafka alone: reads the input topics, makes
every closing on billing.settlements again with its own barriers and catalogue, and compares each
bill and each final change of status with what was published. It publishes nothing and joins no
consumer group, so that a pipeline may go on with another database meanwhile. Each difference is a
line: account, period, field. A difference ends it with exit status 1.`,
		Example: "  tollstream rebuild --clickhouse.database billing_2",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, cat, err := configuredCatalog(c)
			if err != nil {
				return err
			}
			if !c.Flags().Changed("log.level") {
				cfg.Log.Level = "warn" // the bar tells how far it is
			}
			logger, err := newLogger(cfg.Log, c.ErrOrStderr())
			if err != nil {
				return err
			}
			s := &system{cfg: cfg, cat: cat, logger: logger}
			defer s.Close()
			r := rebuilder{system: s, out: c.OutOrStdout(), stderr: c.ErrOrStderr(),
				metricsFile: metricsFile}
			if err := r.prepare(c.Context(), resume); err != nil {
				return err
			}
			return r.run(c.Context())
		},
	}
	c.Flags().BoolVar(&resume, "resume", false,
		"go on with a rebuild of this database that was interrupted")
	c.Flags().StringVar(&metricsFile, "metrics-file", "",
		"write the result to this file for Prometheus' textfile collector, NAME.prom")
	addConfigFlags(c)
	return c
}

// rebuilder is one run of `tollstream rebuild`.
type rebuilder struct {
	*system
	out, stderr io.Writer
	metricsFile string
}

// prepare makes sure of an empty database, or one to go on with, and connects everything.
func (r *rebuilder) prepare(ctx context.Context, resume bool) error {
	o := storeOptions(r.cfg, r.cat)
	table, err := clickhouse.Occupied(ctx, o)
	if err != nil {
		return err
	}
	if name := r.cfg.ClickHouse.Database; table != "" && !resume {
		return fmt.Errorf("database %s is not empty, %s has rows: name another one "+
			"(--clickhouse.database), drop this one (DROP DATABASE %s), or go on with a rebuild of "+
			"it that was interrupted (--resume): %w", name, table, name, errUsage)
	}
	if _, err := clickhouse.Migrate(ctx, o, false); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	r.metrics = observe.NewMetrics(buildInfo(), time.Now)
	r.health = observe.NewHealth(time.Now)
	if r.store, err = clickhouse.Open(ctx, o); err != nil {
		return err
	}
	if _, err := r.connectLog(ctx); err != nil {
		return err
	}
	return r.checkInputs(ctx)
}

func (r *rebuilder) run(ctx context.Context) error {
	started := time.Now()
	t := &r.cfg.Kafka.Topics
	plan, err := rebuild.New(ctx, rebuild.Options{
		Log: r.log, Settled: kafka.NewSettled(r.log, t.Settlements), Store: r.store,
		Reader: r.reader, Catalog: r.cat, Calls: t.Calls, Events: t.AccountEvents, Bills: t.Bills,
		Status: t.ServiceStatus, Now: time.Now, Metrics: r.metrics,
		Progress: r.health.Loop(roleSettle, r.cfg.HTTP.StallAfter), Logger: r.logger,
	})
	if err != nil {
		return err
	}
	bar := progress(r.stderr, int(plan.Offsets))
	defer bar.Finish()
	closings := 0
	plan.Read = func(offsets int64) { bar.Add64(offsets) }
	plan.Closed = func(*stored.Settlement) {
		closings++
		bar.Set("prefix", fmt.Sprintf("%d of %d closings ", closings, plan.Closings()))
	}
	plan.Differs = func(d rebuild.Difference) {
		fmt.Fprintf(r.out, "%s  %s  %s: %s has %s, the rebuild makes %s\n", d.AccountID, d.Period,
			d.Name, d.Place, d.Have, d.Want)
	}
	result, err := plan.Run(ctx)
	bar.Finish()
	if ctx.Err() != nil {
		return fmt.Errorf("interrupted after %d of %d closings: go on with --resume", closings,
			plan.Closings())
	}
	if err != nil {
		return fmt.Errorf("rebuild: %w", err)
	}
	if r.metricsFile != "" {
		err := observe.WriteRebuilt(r.metricsFile, observe.Rebuilt{Closings: int64(result.Closings),
			Bills: int64(result.Bills), Differences: int64(result.Differences), At: time.Now()})
		if err != nil {
			return err
		}
	}
	return r.report(result, time.Since(started))
}

// reader stores what it reads as the ingest loop does, by a catalogue.
func (r *rebuilder) reader(cat *catalog.Catalog) rebuild.Reader {
	store := r.store.Using(cat)
	return ingest.New(ingest.Options{
		Log: r.log, Store: store, Roster: roster.New(cat, store), Catalog: cat,
		Events: r.cfg.Kafka.Topics.AccountEvents, RecordsMax: r.cfg.Ingest.BatchRecordsMax,
		BytesMax: int(r.cfg.Ingest.BatchBytesMax),
		Metrics:  r.metrics, Progress: r.health.Loop(roleIngest, r.cfg.HTTP.StallAfter),
		Logger: r.logger,
	})
}

func (r *rebuilder) report(result *rebuild.Result, took time.Duration) error {
	t := &r.cfg.Kafka.Topics
	_, err := fmt.Fprintf(r.out, "rebuilt database %s: %d closings from %d records in %s, %.0f "+
		"records/s\ncompared %d bills with %s and %d changes of status with %s: %d differences\n",
		r.cfg.ClickHouse.Database, result.Closings, result.Offsets, took.Round(time.Second),
		float64(result.Offsets)/took.Seconds(), result.Bills, t.Bills, result.Statuses,
		t.ServiceStatus, result.Differences)
	if err != nil {
		return err
	}
	if n := result.OtherWords; n > 0 {
		_, err := fmt.Fprintf(r.out, "%d bills explain the same amounts in other words, as another "+
			"version of the program does\n", n)
		if err != nil {
			return err
		}
	}
	if s := result.Open; s != nil {
		_, err := fmt.Fprintf(r.out, "the closing of %s is decided and was not published in full: "+
			"tollstream run ends it\n", s.Day)
		if err != nil {
			return err
		}
	}
	if result.Differences > 0 {
		return fmt.Errorf("%w in %d places; nothing was published: find who wrote the records that "+
			"are named, or whether input records are gone", errRebuiltOther, result.Differences)
	}
	return nil
}
