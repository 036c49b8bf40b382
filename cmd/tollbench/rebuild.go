package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/spf13/cobra"

	"tollstream/pipeline/billing"
)

func newRebuildCommand() *cobra.Command {
	o := &ingestOptions{}
	c := &cobra.Command{
		Use:   "rebuild",
		Short: "Measure how fast ClickHouse is made again from Kafka alone",
		Long: `Has tollstream read and close a topic, once with --records and once with four times as many,
and then makes the database again in a new, empty ClickHouse by tollstream rebuild. What is made
again has to have the same bills. Prints a table and writes rebuild.json into --out.`,
		RunE: func(c *cobra.Command, _ []string) (err error) {
			if o.self, err = os.Executable(); err != nil {
				return err
			}
			r, err := measureRebuild(c.Context(), o, c.ErrOrStderr())
			if err != nil {
				return err
			}
			fmt.Fprint(c.OutOrStdout(), r.text())
			return errors.Join(saveJSON(o.Out, "rebuild.json", r), r.fault())
		},
	}
	f := c.Flags()
	f.IntVar(&o.Records, "records", 250_000, "call records of the smaller topic, about")
	f.IntVar(&o.Accounts, "accounts", 1000, "main accounts that make the calls")
	f.IntVar(&o.Partitions, "partitions", 6, "partitions of the topic")
	f.IntVar(&o.Rounds, "rounds", 3, "how often each size is made again")
	f.Uint64Var(&o.Seed, "seed", 1, "number from which the records follow")
	f.DurationVar(&o.Patience, "patience", 15*time.Minute, "how long one run may take")
	f.StringVar(&o.Out, "out", "build/bench", "folder for the results")
	f.StringVar(&o.Program, "program", "build/tollstream", "the built tollstream")
	return c
}

// growth is how many times as many records the larger topic has.
const growth = 4

// remade is a topic and how its database was made again.
type remade struct {
	Topic  *loaded
	Bills  uint64
	First  run // how long reading and closing took in the first place
	Rounds []run
	Tables []tableSize // of the first database, merged
}

// tableSize is what a table takes on disk.
type tableSize struct {
	Name        string
	Rows, Bytes uint64
}

func (s tableSize) perRow() float64 { return float64(s.Bytes) / float64(s.Rows) }

// sizes merges all tables, as time does, and tells how large they are then.
func sizes(ctx context.Context, conn driver.Conn) ([]tableSize, error) {
	const filled = ` FROM system.tables WHERE database = currentDatabase() AND total_rows > 0
		ORDER BY total_bytes DESC`
	var names []struct{ Name string }
	if err := conn.Select(ctx, &names, "SELECT name AS Name"+filled); err != nil {
		return nil, err
	}
	for _, x := range names {
		if err := conn.Exec(ctx, "OPTIMIZE TABLE "+x.Name+" FINAL"); err != nil {
			return nil, err
		}
	}
	var all []tableSize
	return all, conn.Select(ctx, &all, "SELECT name AS Name, assumeNotNull(total_rows) AS Rows, "+
		"assumeNotNull(total_bytes) AS Bytes"+filled)
}

// rebuildReport compares two sizes.
type rebuildReport struct {
	Began   time.Time
	Commit  string
	Machine string
	Loads   [2]float64
	Options *ingestOptions
	Sizes   []*remade
}

func measureRebuild(
	ctx context.Context, o *ingestOptions, notes io.Writer,
) (*rebuildReport, error) {
	r := &rebuildReport{Began: time.Now(), Commit: commit(), Machine: machine(), Options: o}
	r.Loads[0] = loadAverage()
	for _, times := range []int{1, growth} {
		sized := *o
		sized.from = billing.DateOf(2023, 2, 21) // the month ends soon, and everything is on a bill
		sized.Records *= times
		m, err := remake(ctx, &sized, notes)
		if err != nil {
			return nil, err
		}
		r.Sizes = append(r.Sizes, m)
	}
	r.Loads[1] = loadAverage()
	return r, nil
}

// remake fills a topic, has it read and closed, and makes the database again from the topics.
func remake(ctx context.Context, o *ingestOptions, notes io.Writer) (*remade, error) {
	b, end, err := newBench(ctx, o, notes)
	if err != nil {
		return nil, err
	}
	defer end()
	m := &remade{Topic: b.topic}
	var made bills
	m.First, made = b.program("run", "--roles", "ingest,settle", "--kafka.group", "first",
		"--settle.first_closing", b.topic.first.String(), "--settle.until", b.topic.until.String(),
		"--http.listen", "127.0.0.1:0").run(ctx, b, &m.Tables)
	if fault := m.First.fault(); fault != "" {
		return nil, fmt.Errorf("read and close the topic: %s", fault)
	}
	if m.Bills = made.count; m.Bills == 0 {
		return nil, errors.New("the topic has no bills, so there is nothing to compare")
	}
	fmt.Fprintf(notes, "read and closed, %d bills: %s\n", m.Bills, m.First)
	for round := range o.Rounds {
		one, again := b.program("rebuild").run(ctx, b, nil)
		if one.Fault == "" && again != made {
			one.Wrong = fmt.Sprintf("%d bills, %d in the first place, or not these", again.count,
				made.count)
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		fmt.Fprintf(notes, "rebuild %d: %s\n", round+1, one)
		m.Rounds = append(m.Rounds, one)
	}
	return m, nil
}

// bills are what two databases have to have in common: so many, with this sum of hashes over their
// texts.
type bills struct{ count, hashes uint64 }

func billsOf(ctx context.Context, conn driver.Conn) (b bills, err error) {
	err = conn.QueryRow(ctx, "SELECT count(), sum(xxHash64(json)) FROM bills").
		Scan(&b.count, &b.hashes)
	return b, err
}

// program is a command line of tollstream that ends by itself.
type program struct{ args []string }

func (b *bench) program(args ...string) program {
	return program{append(args, "--kafka.brokers", b.broker, "--clickhouse.compression", "none",
		"--time.mode", "simulated_time", "--log.level", "warn")}
}

// run runs it to its end on a new, empty ClickHouse, and gives the bills that are there then, and
// the sizes of the tables where they are wanted.
func (p program) run(
	ctx context.Context, b *bench, tables *[]tableSize,
) (one run, made bills) {
	ctx, stop := context.WithTimeout(ctx, b.Patience)
	defer stop()
	fail := func(err error) (run, bills) { return run{Fault: err.Error()}, bills{} }
	server, t, err := b.newTarget(ctx, 0)
	if err != nil {
		return fail(err)
	}
	defer server.Kill()
	defer t.conn.Close()         //nolint:errcheck // the server goes too
	defer os.RemoveAll(t.folder) //nolint:errcheck // temporary
	before, err := usageOf(server.PID())
	if err != nil {
		return fail(err)
	}
	started := time.Now()
	process, err := startProcess(t.folder, b.Program, append(p.args, "--clickhouse.addr",
		t.clickhouse, "--clickhouse.database", t.database)...)
	if err != nil {
		return fail(err)
	}
	defer process.stop()
	select {
	case <-process.exited:
	case <-ctx.Done():
		return fail(fmt.Errorf("%s did not end: %w", p.args[0], ctx.Err()))
	}
	if !process.command.ProcessState.Success() {
		return fail(process.ended())
	}
	one.Seconds, one.Pipeline = time.Since(started).Seconds(), process.used()
	after, err := usageOf(server.PID())
	if err != nil {
		return fail(err)
	}
	one.ClickHouse = usage{CPU: after.CPU - before.CPU, Peak: after.Peak}
	one.Records = b.topic.Records + b.topic.Events
	if made, err = billsOf(ctx, t.conn); err == nil && tables != nil {
		*tables, err = sizes(ctx, t.conn)
	}
	if err != nil {
		return fail(err)
	}
	return one, made
}

// used is what a process has used that has ended.
func (p *process) used() usage {
	state := p.command.ProcessState
	u := usage{CPU: (state.UserTime() + state.SystemTime()).Seconds()}
	if all, ok := state.SysUsage().(*syscall.Rusage); ok {
		u.Peak = uint64(all.Maxrss) << 10
	}
	return u
}

// fault is an error where what was made again is not the same, or could not be made.
func (r *rebuildReport) fault() error {
	var faults []error
	for _, m := range r.Sizes {
		for _, one := range m.Rounds {
			if fault := one.fault(); fault != "" {
				faults = append(faults, fmt.Errorf("%d records: %s", m.Topic.Records, fault))
			}
		}
	}
	return errors.Join(faults...)
}

// sizes is the table of what tables take on disk.
func (m *remade) sizes() string {
	t := newTable("table", "rows", "bytes a row", "bytes a record")
	for _, x := range m.Tables {
		t.AppendRow(row(x.Name, fmt.Sprint(x.Rows), fmt.Sprintf("%.1f", x.perRow()),
			fmt.Sprintf("%.1f", float64(x.Bytes)/float64(m.Topic.Records))))
	}
	return t.Render()
}

// text is the table for people.
func (r *rebuildReport) text() string {
	t := newTable("records", "bills", "in the first place s", "again s", "records/s", "CPU s/M",
		"ClickHouse", "peak MiB", "ClickHouse")
	var costs []float64
	for _, m := range r.Sizes {
		var took, rate, cpu, server, peak, serverPeak []float64
		for _, x := range m.Rounds {
			if x.fault() != "" {
				continue
			}
			took, rate = append(took, x.Seconds), append(rate, x.rate())
			cpu = append(cpu, x.perMillion(x.Pipeline.CPU))
			server = append(server, x.perMillion(x.ClickHouse.CPU))
			peak = append(peak, float64(x.Pipeline.Peak)/(1<<20))
			serverPeak = append(serverPeak, float64(x.ClickHouse.Peak)/(1<<20))
		}
		costs = append(costs, spreadOf(cpu).Median+spreadOf(server).Median)
		t.AppendRow(row(fmt.Sprint(m.First.Records), fmt.Sprint(m.Bills),
			fmt.Sprintf("%.1f", m.First.Seconds), ranged(spreadOf(took), "%.1f"),
			ranged(spreadOf(rate), "%.0f"), ranged(spreadOf(cpu), "%.2f"),
			ranged(spreadOf(server), "%.2f"), fmt.Sprintf("%.0f", spreadOf(peak).Median),
			fmt.Sprintf("%.0f", spreadOf(serverPeak).Median)))
	}
	var out strings.Builder
	fmt.Fprintf(&out, "%s, commit %s\n%s; load average %.2f before, %.2f after\n"+
		"call records of %.0f bytes, %d partitions, %d rounds: median (least to most)\n\n%s\n\n"+
		"a record of %d times as many costs %.2f times the CPU\n",
		r.Began.Format(time.DateTime), r.Commit, r.Machine, r.Loads[0], r.Loads[1],
		r.Sizes[0].Topic.BytesARecord, r.Options.Partitions, r.Options.Rounds, t.Render(), growth,
		costs[1]/costs[0])
	fmt.Fprintf(&out, "\non disk, merged, of the larger topic:\n\n%s\n",
		r.Sizes[len(r.Sizes)-1].sizes())
	if err := r.fault(); err != nil {
		fmt.Fprintf(&out, "\nnot counted: %v\n", err)
	}
	return out.String()
}
