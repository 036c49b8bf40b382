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

	"github.com/segmentio/kafka-go"
	"github.com/spf13/cobra"

	"tollstream/pipeline/billing"
	"tollstream/sinks/clickhouse"
)

func newScaleCommand() *cobra.Command {
	o := &ingestOptions{}
	c := &cobra.Command{
		Use:   "scale",
		Short: "Measure what a second process costs: one ingest process beside two in one group",
		Long: `Fills a topic of eight partitions, and has one process of tollstream with the role ingest
bring its records into a new, empty ClickHouse, then two that share the partitions. Both answers are
compared with what was sent. Prints a table and writes scale.json into --out.`,
		RunE: func(c *cobra.Command, _ []string) (err error) {
			if o.self, err = os.Executable(); err != nil {
				return err
			}
			r, err := measureScale(c.Context(), o, c.ErrOrStderr())
			if err != nil {
				return err
			}
			fmt.Fprint(c.OutOrStdout(), r.text())
			return errors.Join(saveJSON(o.Out, "scale.json", r), r.fault())
		},
	}
	f := c.Flags()
	f.IntVar(&o.Records, "records", 2_000_000, "call records in the topic, about")
	f.IntVar(&o.Accounts, "accounts", 1000, "main accounts that make the calls")
	f.IntVar(&o.Partitions, "partitions", 8, "partitions of the topic")
	f.IntVar(&o.Rounds, "rounds", 5, "how often each number of processes runs")
	f.Uint64Var(&o.Seed, "seed", 1, "number from which the records follow")
	f.DurationVar(&o.Patience, "patience", 4*time.Minute, "how long one run may take")
	f.StringVar(&o.Out, "out", "build/bench", "folder for the results")
	f.StringVar(&o.Program, "program", "build/tollstream", "the built tollstream")
	return c
}

// shared is a topic read by some processes in one group.
type shared struct {
	run
	// Before is how many records were stored when it was seen that all have their partitions. They do
	// not count, nor does Start, the CPU seconds up to there.
	Before int64
	Start  float64
	// Sweep is the CPU seconds of ClickHouse for counting the calls of open days once, all of them.
	Sweep float64
	Peaks []uint64 // bytes that were resident at most, of each process
	Parts []int    // partitions of each process
}

// scaleReport compares one process with two.
type scaleReport struct {
	Began    time.Time
	Commit   string
	Machine  string
	Loads    [2]float64
	Options  *ingestOptions
	Topic    *loaded
	One, Two []shared
	// Round by round, two processes over one: CPU a record of the pipeline, of ClickHouse, and
	// records per second.
	CPU, ClickHouseCPU, Rate spread
}

// measureScale runs the two in turns, each first in every second round, after one run that does not
// count.
func measureScale(ctx context.Context, o *ingestOptions, notes io.Writer) (*scaleReport, error) {
	r := &scaleReport{Began: time.Now(), Commit: commit(), Machine: machine(), Options: o}
	r.Loads[0] = loadAverage()
	b, end, err := newBench(ctx, o, notes)
	if err != nil {
		return nil, err
	}
	defer end()
	r.Topic = b.topic
	for round := range o.Rounds + 1 {
		order := []int{1, 2}
		if round%2 == 0 {
			slices.Reverse(order)
		}
		for _, processes := range order {
			one := b.share(ctx, processes, fmt.Sprintf("scale-%d-%d", round, processes))
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			fmt.Fprintf(notes, "round %d: %d processes: %s\n", round, processes, one)
			if fault := one.fault(); fault != "" {
				return nil, fmt.Errorf("round %d: %d processes: %s", round, processes, fault)
			}
			if round == 0 {
				break // it warms caches up
			} else if processes == 1 {
				r.One = append(r.One, one)
			} else {
				r.Two = append(r.Two, one)
			}
		}
	}
	r.Loads[1] = loadAverage()
	r.sum()
	return r, nil
}

func (r *scaleReport) sum() {
	var cpu, server, rate []float64
	for i := range r.One {
		one, two := &r.One[i], &r.Two[i]
		cpu = append(cpu, two.Pipeline.CPU/one.Pipeline.CPU)
		server = append(server, two.ClickHouse.CPU/one.ClickHouse.CPU)
		rate = append(rate, two.rate()/one.rate())
	}
	r.CPU, r.ClickHouseCPU, r.Rate = spreadOf(cpu), spreadOf(server), spreadOf(rate)
}

// fault is an error where the partitions were not shared evenly: then it is another measurement.
func (r *scaleReport) fault() error {
	for _, x := range r.Two {
		if len(x.Parts) != 2 || x.Parts[0] != x.Parts[1] {
			return fmt.Errorf("the two processes had %v partitions", x.Parts)
		}
	}
	return nil
}

// share has some processes fill a new ClickHouse and measures them from when all have partitions.
func (b *bench) share(ctx context.Context, processes int, group string) (one shared) {
	ctx, stop := context.WithTimeout(ctx, b.Patience)
	defer stop()
	server, t, err := b.newTarget(ctx, 0)
	if err != nil {
		return shared{run: run{Fault: err.Error()}}
	}
	defer server.Kill()
	defer t.conn.Close()         //nolint:errcheck // the server goes too
	defer os.RemoveAll(t.folder) //nolint:errcheck // temporary
	t.group = group
	host, err := openHost(ctx, t.inGroup())
	if err != nil {
		return shared{run: run{Fault: err.Error()}}
	}
	defer host.leave()
	var all []*process
	for range processes {
		p, err := startIngest(t)
		if err != nil {
			return shared{run: run{Fault: err.Error()}}
		}
		defer p.stop()
		all = append(all, p)
	}
	if err := one.measure(ctx, t, host, all, server.PID()); err != nil {
		return shared{run: run{Fault: err.Error()}}
	}
	one.Records = b.topic.Records - one.Before
	got, err := stored(ctx, t.conn)
	if err != nil {
		return shared{run: run{Fault: err.Error()}}
	}
	if one.Wrong = got.difference(b.topic.right); one.Wrong == "" {
		one.Sweep, err = sweepOf(ctx, b, t, server.PID())
	}
	if err != nil {
		return shared{run: run{Fault: err.Error()}}
	}
	return one
}

// sweepOf is the CPU of a sweep of the open days, as the role usage makes one every 20 seconds.
func sweepOf(ctx context.Context, b *bench, t *target, server int) (float64, error) {
	store, err := clickhouse.Open(ctx, clickhouse.Options{Addr: t.clickhouse, Database: t.database,
		Compression: "none"}.For(b.cat))
	if err != nil {
		return 0, err
	}
	defer store.Close() //nolint:errcheck // nothing is pending
	before, err := usageOf(server)
	if err != nil {
		return 0, err
	}
	sweep, err := store.SweepOpenUsage(ctx, billing.InstantOf(time.Now()), b.topic.first)
	if err != nil {
		return 0, err
	}
	if sweep.Rows == 0 {
		return 0, errors.New("the sweep found no open calls")
	}
	after, err := usageOf(server)
	return after.CPU - before.CPU, err
}

// measure waits until the processes have shared the partitions, and then until all is stored.
func (s *shared) measure(
	ctx context.Context, t *target, host *host, all []*process, server int,
) error {
	g, err := watchGroup(ctx, t.inGroup(), all[0])
	if err != nil {
		return err
	}
	if err := g.joinedBy(ctx, len(all)+1); err != nil {
		return err
	}
	host.leave()
	if s.Parts, err = g.sharedBy(ctx, len(all)); err != nil {
		return err
	}
	started := time.Now()
	begun, _, err := usageOfAll(all)
	if err != nil {
		return err
	}
	before, err := usageOf(server)
	if err != nil {
		return err
	}
	if s.Before, err = g.committed(ctx); err != nil {
		return err
	}
	if err := g.done(ctx); err != nil {
		return err
	}
	s.Seconds = time.Since(started).Seconds()
	ended, peaks, err := usageOfAll(all)
	if err != nil {
		return err
	}
	after, err := usageOf(server)
	s.Start, s.Peaks = begun.CPU, peaks
	s.Pipeline = usage{CPU: ended.CPU - begun.CPU, Peak: ended.Peak}
	s.ClickHouse = usage{CPU: after.CPU - before.CPU, Peak: after.Peak}
	return err
}

// usageOfAll is what processes have used together, and the peak of each.
func usageOfAll(all []*process) (sum usage, peaks []uint64, err error) {
	for _, p := range all {
		u, err := usageOf(p.pid())
		if err != nil {
			return usage{}, nil, err
		}
		sum = usage{CPU: sum.CPU + u.CPU, Peak: sum.Peak + u.Peak}
		peaks = append(peaks, u.Peak)
	}
	return sum, peaks, nil
}

// joinedBy waits until the group has so many members.
func (g *groupReading) joinedBy(ctx context.Context, members int) error {
	return g.until(ctx, "come together", func() (bool, error) {
		answer, err := g.client.DescribeGroups(ctx,
			&kafka.DescribeGroupsRequest{GroupIDs: []string{g.group}})
		return err == nil && answer.Groups[0].GroupState == "Stable" &&
			len(answer.Groups[0].Members) == members, err
	})
}

// sharedBy waits until so many members have partitions of the calls, and says how many each has.
func (g *groupReading) sharedBy(ctx context.Context, members int) (parts []int, err error) {
	err = g.until(ctx, "share the partitions", func() (bool, error) {
		answer, err := g.client.DescribeGroups(ctx,
			&kafka.DescribeGroupsRequest{GroupIDs: []string{g.group}})
		if err != nil || answer.Groups[0].GroupState != "Stable" {
			return false, err
		}
		parts = nil
		for _, m := range answer.Groups[0].Members {
			for _, topic := range m.MemberAssignments.Topics {
				if topic.Topic == callsTopic {
					parts = append(parts, len(topic.Partitions))
				}
			}
		}
		return len(parts) == members, nil
	})
	return parts, err
}

// committed is how many records of the calls are stored and committed.
func (g *groupReading) committed(ctx context.Context) (n int64, err error) {
	answer, err := g.client.OffsetFetch(ctx, &kafka.OffsetFetchRequest{GroupID: g.group,
		Topics: map[string][]int{callsTopic: g.parts}})
	if err != nil {
		return 0, err
	}
	for _, p := range answer.Topics[callsTopic] {
		n += max(p.CommittedOffset, 0)
	}
	return n, nil
}

// text is the table for people.
func (r *scaleReport) text() string {
	t := newTable("processes", "records/s", "CPU s/M", "ClickHouse", "peak MiB of each",
		"CPU s to start", "sweep CPU s/M")
	for i, rounds := range [][]shared{r.One, r.Two} {
		var rate, cpu, server, peak, start, sweep []float64
		for j := range rounds {
			x := &rounds[j]
			rate, cpu = append(rate, x.rate()), append(cpu, x.perMillion(x.Pipeline.CPU))
			server = append(server, x.perMillion(x.ClickHouse.CPU))
			start = append(start, x.Start)
			sweep = append(sweep, x.perMillion(x.Sweep))
			for _, p := range x.Peaks {
				peak = append(peak, float64(p)/(1<<20))
			}
		}
		t.AppendRow(row(fmt.Sprint(i+1), ranged(spreadOf(rate), "%.0f"),
			ranged(spreadOf(cpu), "%.2f"), ranged(spreadOf(server), "%.2f"),
			ranged(spreadOf(peak), "%.0f"), ranged(spreadOf(start), "%.2f"),
			ranged(spreadOf(sweep), "%.2f")))
	}
	var out strings.Builder
	fmt.Fprintf(&out, "%s, commit %s\n%s; load average %.2f before, %.2f after\n"+
		"%d call records of %.0f bytes, %d partitions, %d rounds: median (least to most)\n\n%s\n\n",
		r.Began.Format(time.DateTime), r.Commit, r.Machine, r.Loads[0], r.Loads[1],
		r.Topic.Records, r.Topic.BytesARecord, r.Options.Partitions, r.Options.Rounds, t.Render())
	fmt.Fprintf(&out, "two over one, round by round: CPU a record %s, in ClickHouse %s, "+
		"records/s %s\n", ranged(r.CPU, "%.3f"), ranged(r.ClickHouseCPU, "%.3f"),
		ranged(r.Rate, "%.2f"))
	return out.String()
}
