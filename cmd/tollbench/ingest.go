package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"time"

	clickhousego "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/spf13/cobra"

	"tollstream/deploy/embedded"
	"tollstream/pipeline/billing"
	"tollstream/pipeline/catalog"
	"tollstream/schemas"
	"tollstream/sinks/clickhouse"
)

// ingestOptions are the flags of `tollbench ingest`.
type ingestOptions struct {
	Records, Accounts, Partitions, Rounds int
	Seed                                  uint64
	Patience                              time.Duration // for one contender in one round
	Out                                   string        `json:"-"`
	Program                               string        `json:"-"`
	self                                  string
	from                                  billing.Day // of the calls; 0 is the usual day
}

func newIngestCommand() *cobra.Command {
	o := &ingestOptions{}
	var only []string
	c := &cobra.Command{
		Use:   "ingest",
		Short: "Measure the way of call records from Kafka into ClickHouse",
		Long: `Fills a topic, and has each contender in turn bring its records into a new, empty ClickHouse.
What a contender stored is compared with what was sent before its time counts. Prints a table, and
writes ingest.json and ingest.png into --out.`,
		RunE: func(c *cobra.Command, _ []string) (err error) {
			if o.self, err = os.Executable(); err != nil {
				return err
			}
			r, err := measure(c.Context(), o, chosen(only), c.ErrOrStderr())
			if err != nil {
				return err
			}
			fmt.Fprint(c.OutOrStdout(), r.text())
			return errors.Join(r.save(o.Out), r.fault())
		},
	}
	f := c.Flags()
	f.IntVar(&o.Records, "records", 2_000_000, "call records in the topic, about")
	f.IntVar(&o.Accounts, "accounts", 1000, "main accounts that make the calls")
	f.IntVar(&o.Partitions, "partitions", 6, "partitions of the topic")
	f.IntVar(&o.Rounds, "rounds", 5, "how often each contender runs")
	f.Uint64Var(&o.Seed, "seed", 1, "number from which the records follow")
	f.DurationVar(&o.Patience, "patience", 4*time.Minute, "how long one run may take")
	f.StringSliceVar(&only, "only", nil, "names of contenders; the others are left out")
	f.StringVar(&o.Out, "out", "build/bench", "folder for the results")
	f.StringVar(&o.Program, "program", "build/tollstream", "the built tollstream")
	return c
}

// bench is one measurement under way.
type bench struct {
	*ingestOptions
	folder string // of everything that is made for it; removed at the end
	cat    *catalog.Catalog
	broker string
	topic  *loaded
	notes  io.Writer // says what is being done
	blocks bool      // others insert what the first run stored
}

// ownCatalog is the catalogue that the program has built in.
func ownCatalog() (*catalog.Catalog, error) {
	return catalog.Parse("faceid/catalog.yaml", schemas.FaceIDCatalog())
}

// newBench starts the broker and fills the topic. What it gives beside the bench ends both.
func newBench(ctx context.Context, o *ingestOptions, notes io.Writer) (
	_ *bench, end func(), err error,
) {
	b := &bench{ingestOptions: o, notes: notes}
	if b.cat, err = ownCatalog(); err != nil {
		return nil, nil, err
	}
	if b.folder, err = os.MkdirTemp("", "tollbench-"); err != nil {
		return nil, nil, err
	}
	broker, address, err := startBroker(ctx, o.self, b.folder, o.Partitions)
	if err != nil {
		_ = os.RemoveAll(b.folder)
		return nil, nil, fmt.Errorf("start the broker: %w", err)
	}
	end = func() {
		broker.stop()
		_ = os.RemoveAll(b.folder)
	}
	b.broker = address
	if b.topic, err = load(ctx, address, o, b.cat); err != nil {
		end()
		return nil, nil, fmt.Errorf("fill the topic: %w", err)
	}
	fmt.Fprintf(notes, "%d call records of %.0f bytes, %d of them duplicates; %d account events\n",
		b.topic.Records, b.topic.BytesARecord, b.topic.Duplicates, b.topic.Events)
	return b, end, nil
}

// measure runs all contenders, round after round, after one run of the first one that does not
// count: it warms caches up, and its rows are the ready blocks.
func measure(
	ctx context.Context, o *ingestOptions, contenders []contender, notes io.Writer,
) (*report, error) {
	r := newReport(o, contenders)
	b, end, err := newBench(ctx, o, notes)
	if err != nil {
		return nil, err
	}
	defer end()
	r.Topic, b.blocks = b.topic, len(contenders) > 1
	for round := range o.Rounds + 1 { // the first one is not counted
		for i, c := range contenders {
			if round == 0 && i > 0 {
				break
			}
			one := b.run(ctx, c, round*len(contenders)+i)
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			if fault := one.fault(); fault != "" && round == 0 {
				return nil, fmt.Errorf("the first run of %s: %s", c.name(), fault)
			}
			fmt.Fprintf(notes, "round %d: %s: %s\n", round, c.name(), one)
			if round > 0 {
				r.Results[i].Rounds = append(r.Results[i].Rounds, one)
			}
		}
	}
	r.finish()
	return r, nil
}

// run has a contender fill a new ClickHouse, measures it, and compares what it stored. Number is
// that of the run; the first one's rows are the ready blocks.
func (b *bench) run(ctx context.Context, c contender, number int) (one run) {
	ctx, stop := context.WithTimeout(ctx, b.Patience)
	defer stop()
	server, t, err := b.newTarget(ctx, number)
	if err != nil {
		return run{Fault: err.Error()}
	}
	defer server.Kill()
	defer t.conn.Close() //nolint:errcheck // the server goes too
	one, err = timed(ctx, c, t, server.PID())
	if err != nil {
		return run{Fault: err.Error()}
	}
	one.Records = b.topic.Records
	if _, reads := c.(fetchFloor); reads {
		return one // it stores nothing
	}
	got, err := stored(ctx, t.conn)
	if err != nil {
		return run{Fault: err.Error()}
	}
	if one.Wrong = got.difference(b.topic.right); one.Wrong == "" && number == 0 && b.blocks {
		if err := saveBlocks(ctx, t); err != nil {
			return run{Fault: err.Error()}
		}
	}
	return one
}

// newTarget starts a ClickHouse with an empty schema. Its folder stays until the end of the bench:
// ext4 gives inodes out slowly for minutes after thousands of files were removed, which would
// count for the next contender, the more files its tables have.
func (b *bench) newTarget(
	ctx context.Context, number int,
) (*embedded.ClickHouse, *target, error) {
	t := &target{self: b.self, program: b.Program, broker: b.broker, partitions: b.Partitions,
		group: "bench-" + strconv.Itoa(number), database: "bench",
		folder: filepath.Join(b.folder, "run-"+strconv.Itoa(number)),
		blocks: filepath.Join(b.folder, "blocks")}
	if err := os.MkdirAll(t.folder, 0o750); err != nil {
		return nil, nil, err
	}
	server, err := embedded.StartClickHouse(ctx, embedded.ClickHouseOptions{Executable: b.self,
		ServeOptions: embedded.ServeOptions{Listen: "127.0.0.1:0",
			DataDir: filepath.Join(t.folder, "clickhouse")}})
	if err != nil {
		return nil, nil, err
	}
	t.clickhouse = server.Addr()
	_, err = clickhouse.Migrate(ctx, clickhouse.Options{Addr: t.clickhouse, Database: t.database}.
		For(b.cat), false)
	if err == nil {
		t.conn, err = connect(t.clickhouse, t.database)
	}
	if err != nil {
		server.Kill()
		return nil, nil, err
	}
	return server, t, nil
}

// connect opens a database over HTTP, without compression: all is on one machine.
func connect(address, database string) (driver.Conn, error) {
	return clickhousego.Open(&clickhousego.Options{Protocol: clickhousego.HTTP,
		Addr: []string{address}, Auth: clickhousego.Auth{Database: database}, ReadTimeout: time.Hour})
}

// timed measures a contender from where its reading begins to where everything is stored.
func timed(ctx context.Context, c contender, t *target, server int) (one run, err error) {
	r, err := c.start(ctx, t)
	if err != nil {
		return run{}, err
	}
	defer r.stop()
	if err := r.began(ctx); err != nil {
		return run{}, err
	}
	started := time.Now()
	before, err := usageOfBoth(r.pid(), server)
	if err != nil {
		return run{}, err
	}
	noted := watchResident(r.pid())
	err = r.done(ctx)
	if one.Resident = noted(); err != nil {
		return run{}, err
	}
	one.Seconds = time.Since(started).Seconds()
	after, err := usageOfBoth(r.pid(), server)
	one.Pipeline = usage{CPU: after[0].CPU - before[0].CPU, Peak: after[0].Peak}
	one.ClickHouse = usage{CPU: after[1].CPU - before[1].CPU, Peak: after[1].Peak}
	return one, err
}

func usageOfBoth(pipeline, server int) (both [2]usage, err error) {
	if both[0], err = usageOf(pipeline); err != nil {
		return both, err
	}
	both[1], err = usageOf(server)
	return both, err
}
