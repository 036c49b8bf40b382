package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/spf13/cobra"

	"tollstream/pipeline/kafkalog"
)

func newAccountsCommand() *cobra.Command {
	o := &ingestOptions{Partitions: 1}
	var sizes []int
	c := &cobra.Command{
		Use:   "accounts",
		Short: "Measure what memory an ingest process takes for the accounts that it knows",
		Long: `Sends two events for each of so many accounts, has an ingest process read them, and tells
what was resident at most. The difference of two numbers of accounts is what accounts take. Prints a
table and writes accounts.json into --out.`,
		RunE: func(c *cobra.Command, _ []string) (err error) {
			if o.self, err = os.Executable(); err != nil {
				return err
			}
			r := &accountsReport{Began: time.Now(), Commit: commit(), Machine: machine()}
			for _, n := range sizes {
				one, err := knowAccounts(c.Context(), o, n)
				if err != nil {
					return err
				}
				r.Sizes = append(r.Sizes, one)
			}
			fmt.Fprint(c.OutOrStdout(), r.text())
			return saveJSON(o.Out, "accounts.json", r)
		},
	}
	f := c.Flags()
	f.IntSliceVar(&sizes, "accounts", []int{100_000, 1_000_000}, "numbers of accounts, rising")
	f.DurationVar(&o.Patience, "patience", 15*time.Minute, "how long one number may take")
	f.StringVar(&o.Out, "out", "build/bench", "folder for the results")
	f.StringVar(&o.Program, "program", "build/tollstream", "the built tollstream")
	return c
}

// known is what an ingest process took for a number of accounts.
type known struct {
	Accounts int
	Seconds  float64
	Pipeline usage
}

type accountsReport struct {
	Began   time.Time
	Commit  string
	Machine string
	Sizes   []known
}

// perAccount is in bytes, between the smallest number and the largest.
func (r *accountsReport) perAccount() float64 {
	first, last := &r.Sizes[0], &r.Sizes[len(r.Sizes)-1]
	return (float64(last.Pipeline.Peak) - float64(first.Pipeline.Peak)) /
		float64(last.Accounts-first.Accounts)
}

func (r *accountsReport) text() string {
	t := newTable("accounts", "seconds", "CPU us an account", "peak MiB")
	for _, x := range r.Sizes {
		t.AppendRow(row(fmt.Sprint(x.Accounts), fmt.Sprintf("%.1f", x.Seconds),
			fmt.Sprintf("%.1f", x.Pipeline.CPU/float64(x.Accounts)*1e6),
			fmt.Sprintf("%.0f", float64(x.Pipeline.Peak)/(1<<20))))
	}
	out := fmt.Sprintf("%s, commit %s\n%s\n\n%s\n", r.Began.Format(time.DateTime), r.Commit,
		r.Machine, t.Render())
	if len(r.Sizes) > 1 {
		out += fmt.Sprintf("\n%.0f bytes an account\n", r.perAccount())
	}
	return out
}

// knowAccounts has a process read the events of new accounts into an empty ClickHouse.
func knowAccounts(ctx context.Context, o *ingestOptions, n int) (k known, err error) {
	ctx, stop := context.WithTimeout(ctx, o.Patience)
	defer stop()
	b := &bench{ingestOptions: o}
	if b.cat, err = ownCatalog(); err != nil {
		return k, err
	}
	if b.folder, err = os.MkdirTemp("", "tollbench-"); err != nil {
		return k, err
	}
	defer os.RemoveAll(b.folder) //nolint:errcheck // temporary
	broker, address, err := startBroker(ctx, o.self, b.folder, o.Partitions)
	if err != nil {
		return k, err
	}
	defer broker.stop()
	b.broker = address
	if err := sendAccounts(ctx, address, n); err != nil {
		return k, err
	}
	server, t, err := b.newTarget(ctx, 0)
	if err != nil {
		return k, err
	}
	defer server.Kill()
	defer t.conn.Close() //nolint:errcheck // the server goes too
	p, err := startIngest(t)
	if err != nil {
		return k, err
	}
	defer p.stop()
	g, err := watchGroup(ctx, t.inGroup(), p)
	if err != nil {
		return k, err
	}
	started := time.Now()
	if err := g.eventsDone(ctx, int64(2*n)); err != nil {
		return k, err
	}
	k.Accounts, k.Seconds = n, time.Since(started).Seconds()
	if k.Pipeline, err = usageOf(p.pid()); err != nil {
		return k, err
	}
	var there uint64
	err = t.conn.QueryRow(ctx, "SELECT uniqExact(account_id) FROM account_events").Scan(&there)
	if err == nil && there != uint64(n) {
		err = fmt.Errorf("%d accounts are stored, %d were sent", there, n)
	}
	return k, err
}

// eventsDone waits until so many account events are stored and committed.
func (g *groupReading) eventsDone(ctx context.Context, events int64) error {
	return g.until(ctx, "commit all events", func() (bool, error) {
		answer, err := g.client.OffsetFetch(ctx, &kafka.OffsetFetchRequest{GroupID: g.group,
			Topics: map[string][]int{eventsTopic: {0}}})
		if err != nil {
			return false, err
		}
		list := answer.Topics[eventsTopic]
		if len(list) != 1 {
			return false, errors.New("the broker says nothing of the events")
		}
		return list[0].CommittedOffset >= events, nil
	})
}

// sendAccounts opens accounts and gives each a balance.
func sendAccounts(ctx context.Context, broker string, n int) error {
	producer, err := kafkalog.NewProducer(kafkalog.ProducerOptions{Brokers: []string{broker},
		Compression: kafka.Lz4})
	if err != nil {
		return err
	}
	defer producer.Close() //nolint:errcheck // everything was acknowledged by Produce
	const at = "2023-02-01T01:00:00+08:00"
	when, err := time.Parse(time.RFC3339, at)
	if err != nil {
		return err
	}
	var list []kafkalog.Outgoing
	for i := range n {
		for _, event := range []string{`account.opened","opened_at":"` + at + `"`,
			`balance.topped_up","amount":"1000"`} {
			list = append(list, kafkalog.Outgoing{Topic: eventsTopic, Fixed: true, Time: when,
				Value: fmt.Appendf(nil, `{"event_id":"e-%d-%d","account_id":"%d","effective_at":%q,`+
					`"type":"%s}`, i, len(list)%2, 1_300_000_000+i, at, event)})
		}
		if len(list) >= sentTogether || i+1 == n {
			if err := producer.Produce(ctx, list...); err != nil {
				return err
			}
			list = list[:0]
		}
	}
	return nil
}
