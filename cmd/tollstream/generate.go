package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/catalog"
	"tollstream/pipeline/generate"
)

// sink takes generated records in the order of their arrival. Finish makes them count; Close
// frees what is held, also after an error.
type sink interface {
	Send(ctx context.Context, records []generate.Record) error
	Finish(g *generate.Generator) error
	Close() error
}

// generateFlags are the flags of `tollstream generate`, those of the configuration apart.
type generateFlags struct {
	options      generate.Options
	from, to     string
	regimes      int
	outDir       string
	force, kafka bool
	partitions   int32
	send         string // sendAll, sendPast or sendLive
}

func newGenerateCommand() *cobra.Command {
	f := generateFlags{options: generate.Options{Rates: generate.DefaultRates()}}
	c := &cobra.Command{
		Use:   "generate --out-dir DIR | --kafka",
		Short: "Make call records and account events from a seed, to files or to Kafka",
		Long: `Makes call logs and account events that look like traffic, with chosen rates of
duplicates, late, malformed and unknown records. The same seed and options give the same bytes.

With --out-dir it writes calls.jsonl and events.jsonl, in which arrived_at stands for the broker's
timestamp, for tollstream bill, and expected.json, which says what they contain. With --kafka it
writes to the configured topics with record times that are the arrivals; that needs topics with
message.timestamp.type=CreateTime and a pipeline with --time.mode simulated_time. Missing topics
are created so. A record stands in the partition that Kafka's own rule (murmur2) gives its key.

With --send past it sends what has arrived by now, and with --send live it goes on until --to and
sends each record when it arrives. Both go on where the topics end. With live and http.listen
given, /readyz tells whether it gets on.`,
		Example: `  tollstream generate --out-dir demo --seed 7 --calls 50000 --duplicates 0.02
  tollstream generate --kafka --kafka.brokers 127.0.0.1:19092 --calls 1000000
  tollstream generate --kafka --send live --from 2026-11-01 --to 2027-11-01 --calls 500000`,
		RunE: func(c *cobra.Command, _ []string) error { return f.run(c) },
	}
	f.define(c)
	addConfigFlags(c)
	return c
}

func (f *generateFlags) define(c *cobra.Command) {
	fl, o, r := c.Flags(), &f.options, &f.options.Rates
	fl.Uint64Var(&o.Seed, "seed", 1, "number from which everything follows")
	fl.StringVar(&f.from, "from", "2023-02-01", "first day with calls")
	fl.StringVar(&f.to, "to", "2023-03-01", "day after the last one with calls")
	fl.IntVar(&f.regimes, "regimes", 0, "instead of --from: so many days before and after each "+
		"date, up to --to, on which the catalogue's rules change")
	fl.IntVar(&o.Accounts, "accounts", 20, "main accounts, of all cohorts in turn")
	fl.IntVar(&o.Calls, "calls", 10_000, "distinct calls")
	fl.Float64Var(&r.Duplicates, "duplicates", r.Duplicates, "share of calls delivered again")
	fl.Float64Var(&r.Conflicts, "conflicts", r.Conflicts,
		"share of the duplicates that differ in a billing field")
	fl.Float64Var(&r.Late, "late", r.Late, "share of calls that arrive minutes to days late")
	fl.Float64Var(&r.Malformed, "malformed", r.Malformed,
		"further records, as a share of the calls, that cannot be decoded")
	fl.Float64Var(&r.Unknown, "unknown", r.Unknown,
		"further records, as a share of the calls, of unknown accounts or without a billing tag")
	fl.Float64Var(&r.UnknownCodes, "unknown-codes", r.UnknownCodes,
		"share of calls with a result code that the catalogue does not know")
	fl.Float64Var(&r.FreeActions, "free-actions", r.FreeActions,
		"further calls, as a share of the calls, of actions that are never charged")
	fl.Float64Var(&r.Corrections, "corrections", r.Corrections,
		"share of accounts that void calls and contradict themselves")
	fl.StringVar(&f.outDir, "out-dir", "", "folder for calls.jsonl, events.jsonl, expected.json")
	fl.BoolVar(&f.force, "force", false, "replace files that are in --out-dir already")
	fl.BoolVar(&f.kafka, "kafka", false, "write to the configured Kafka")
	fl.Int32Var(&f.partitions, "partitions", 4,
		"partitions of a topic of calls that --kafka has to create")
	fl.StringVar(&f.send, "send", sendAll, "with --kafka: all records at once, or past: those that "+
		"have arrived by now, or live: those, and then each when it arrives")
}

func (f *generateFlags) run(c *cobra.Command) error {
	if (f.outDir != "") == f.kafka {
		return fmt.Errorf("give one of --out-dir and --kafka: %w", errUsage)
	}
	if !slices.Contains([]string{sendAll, sendPast, sendLive}, f.send) ||
		f.send != sendAll && !f.kafka {
		return fmt.Errorf("--send %s: one of all, past and live, the last two with --kafka only: %w",
			f.send, errUsage)
	}
	cfg, err := loadConfig(c)
	if err != nil {
		return err
	}
	if f.options.Catalog, err = loadCatalog(cfg.Catalog); err != nil {
		return err
	}
	if err := f.days(); err != nil {
		return err
	}
	f.options.CallsTopic = cfg.Kafka.Topics.Calls[0]
	f.options.EventsTopic = cfg.Kafka.Topics.AccountEvents
	if _, err := generate.New(f.options); err != nil { // before anything is written
		return fmt.Errorf("%w: %w", err, errUsage)
	}
	to, err := f.open(c.Context(), cfg, c.ErrOrStderr())
	if err != nil {
		return err
	}
	err = f.sendTo(c.Context(), cfg, to, c.OutOrStdout(), c.ErrOrStderr())
	return errors.Join(err, to.Close())
}

// sendTo generates into the sink, which has completed the options, and says what was made.
func (f *generateFlags) sendTo(
	ctx context.Context, cfg *Config, to sink, stdout, stderr io.Writer,
) error {
	g, err := generate.New(f.options)
	if err != nil {
		return err
	}
	if f.send != sendAll {
		return f.sendPaced(ctx, cfg, g, to, stdout, stderr)
	}
	bar := progress(stderr, f.options.Calls)
	p := pacer{to: to, now: func() time.Time { return endOfTime }, sent: func(n int) { bar.Add(n) }}
	err = p.send(ctx, g.Records())
	bar.Finish()
	if err == nil {
		err = to.Finish(g)
	}
	if err == nil {
		f.summary(stdout, g)
	}
	return err
}

// days reads --from, --to and --regimes.
func (f *generateFlags) days() error {
	var err error
	if f.options.From, err = billing.ParseDay(f.from); err != nil {
		return fmt.Errorf("--from: %w: %w", err, errUsage)
	}
	if f.options.To, err = billing.ParseDay(f.to); err != nil {
		return fmt.Errorf("--to: %w: %w", err, errUsage)
	}
	if f.regimes < 0 || f.regimes > 25 {
		return fmt.Errorf("--regimes %d: 1 to 25 days: %w", f.regimes, errUsage)
	}
	if f.regimes > 0 {
		f.options.Spans = generate.RegimeSpans(f.options.Catalog, f.regimes, f.options.To)
		if len(f.options.Spans) == 0 {
			return fmt.Errorf("--regimes: no rule of the catalogue changes before %s: %w",
				f.options.To, errUsage)
		}
	}
	return nil
}

// open makes the sink, which may say how many partitions there are.
func (f *generateFlags) open(ctx context.Context, cfg *Config, stderr io.Writer) (sink, error) {
	if f.outDir != "" {
		return openFileSink(f.outDir, f.options.EventsTopic, f.options.Catalog, f.force)
	}
	return openKafkaSink(ctx, cfg, f, stderr)
}

// summary says what was made and what to do with it.
func (f *generateFlags) summary(w io.Writer, g *generate.Generator) {
	l, zone := g.Ledger(), f.options.Catalog.Settings.Zone
	cohorts := make([]string, 0, len(l.ByCohort))
	for name, n := range l.ByCohort { // sorted below
		cohorts = append(cohorts, fmt.Sprintf("%s %d", name, n))
	}
	slices.Sort(cohorts)
	fmt.Fprintf(w, "seed %d: %d records, %d of calls and %d of account events, arriving\n"+
		"  from %s to %s\n", f.options.Seed, l.Records, l.CallRecords, l.EventRecords,
		l.First.In(zone), l.Last.In(zone))
	fmt.Fprintf(w, "  %d calls of %d accounts (%s): %d charged, %d free, %d with unknown codes\n",
		l.Calls, f.options.Accounts, strings.Join(cohorts, ", "), l.Charged, l.Free, l.UnknownCodes)
	fmt.Fprintf(w, "  %d duplicates (%d conflicts), %d late, %d voided, %d malformed, "+
		"%d of unknown accounts, %d without a tag\n", l.Duplicates+l.EventDuplicates, l.Conflicts,
		l.Late, l.Voided, l.MalformedRecords(), l.UnknownAccounts, l.NoTag)
	until := g.Until().In(zone)
	if f.kafka {
		fmt.Fprintf(w, "next: tollstream run --time.mode simulated_time --settle.first_closing %s "+
			"--settle.until %s\n", g.FirstClosing(), until)
		return
	}
	fmt.Fprintf(w, "next: tollstream bill --calls %s --events %s --until %s\n",
		filepath.Join(f.outDir, callsFile), filepath.Join(f.outDir, eventsFile), until)
}

// The files of --out-dir.
const (
	callsFile    = "calls.jsonl"
	eventsFile   = "events.jsonl"
	expectedFile = "expected.json"
)

// fileSink writes two files of lines. They get their names when all is written, so that a run that
// was interrupted leaves none behind.
type fileSink struct {
	dir, eventsTopic string
	zone             *time.Location
	calls, events    *lineFile
}

func openFileSink(dir, eventsTopic string, cat *catalog.Catalog, force bool) (sink, error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("--out-dir: %w", err)
	}
	for _, name := range []string{callsFile, eventsFile, expectedFile} {
		path := filepath.Join(dir, name)
		if _, err := os.Stat(path); err == nil && !force {
			return nil, fmt.Errorf("--out-dir: %s is there already; choose another folder, or "+
				"--force: %w", path, errUsage)
		}
	}
	s := &fileSink{dir: dir, eventsTopic: eventsTopic, zone: cat.Settings.Zone}
	var err error
	if s.calls, err = createLines(filepath.Join(dir, callsFile)); err != nil {
		return nil, err
	}
	if s.events, err = createLines(filepath.Join(dir, eventsFile)); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// Send writes records as lines. A record that is an object gets the field arrived_at; what is no
// object is written as it is, and then arrives with the line before it.
func (s *fileSink) Send(ctx context.Context, records []generate.Record) error {
	for i := range records {
		r := &records[i]
		to := s.calls
		if r.Topic == s.eventsTopic {
			to = s.events
		}
		if err := to.line(r.Value, r.Arrived.In(s.zone)); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// Finish writes expected.json and gives the files their names.
func (s *fileSink) Finish(g *generate.Generator) error {
	b, err := json.MarshalIndent(g.Ledger(), "", "  ")
	if err != nil {
		return err
	}
	path := filepath.Join(s.dir, expectedFile)
	if err := os.WriteFile(path, append(b, '\n'), 0o600); err != nil {
		return fmt.Errorf("--out-dir: %w", err)
	}
	return errors.Join(s.calls.finish(), s.events.finish())
}

// Close removes what was not finished.
func (s *fileSink) Close() error {
	for _, f := range []*lineFile{s.calls, s.events} {
		if f != nil {
			f.discard()
		}
	}
	return nil
}
