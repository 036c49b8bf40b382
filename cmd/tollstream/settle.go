package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/settle"
	"tollstream/pipeline/stored"
)

// newSettleCommand makes `tollstream settle` with the verbs by which a person settles what no
// program may: they are recorded for ever, with reason and name.
func newSettleCommand() *cobra.Command {
	c := &cobra.Command{Use: "settle", Short: "Settle by hand what holds up closings"}
	c.AddCommand(newAcceptGapCommand(), newNewEpochCommand())
	return c
}

// signature is who says something, and why.
type signature struct{ reason, by string }

func (s *signature) add(c *cobra.Command) {
	c.Flags().StringVar(&s.reason, "reason", "", "why, for those who read it in years (required)")
	c.Flags().StringVar(&s.by, "by", "", "who says so (required)")
}

// The limits are those of schemas/topics.
func (s *signature) check() error {
	for _, x := range []struct {
		flag, text string
		most       int
	}{{"--reason", s.reason, 1024}, {"--by", s.by, 128}} {
		if strings.TrimSpace(x.text) == "" || len(x.text) > x.most {
			return commandLine{fmt.Errorf("%s has 1 to %d bytes", x.flag, x.most)}
		}
	}
	return nil
}

func newAcceptGapCommand() *cobra.Command {
	var g stored.Gap
	var s signature
	c := &cobra.Command{
		Use:   "accept-gap --topic T --partition P --from N --to M --reason WHY --by NAME",
		Short: "Accept that records are lost for ever, so that closings go on without them",
		Long: `Records on billing.settlements that the offsets from --from up to, and without, --to are lost.
Closings that wait for them go on by themselves, and their books, the table settlements, audit and
every rebuild show the gap with reason and name. Nothing takes it back. Refused are offsets that are
stored or can still be read, that a closing has seen, or that were accepted already. The topic is
written as the error and the barriers have it.`,
		Example: `  tollstream settle accept-gap --topic faceid.calls --partition 3 --from 17 --to 20 \
    --reason 'retention was left at a week' --by li.na`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := s.check(); err != nil {
				return err
			}
			if g.Topic == "" || g.Partition < 0 || g.From < 0 || g.To <= g.From {
				return commandLine{errors.New("say which offsets: --topic, --partition, --from, and " +
					"--to above it")}
			}
			g.Reason, g.By, g.AcceptedAt = s.reason, s.by, billing.InstantOf(time.Now())
			return onSettlements(c, func(ctx context.Context, sys *system) error {
				if err := sys.acceptGap(ctx, g); err != nil {
					return err
				}
				_, err := fmt.Fprintf(c.OutOrStdout(), "accepted: offsets [%d, %d) of %s/%d, %d records, "+
					"are lost\n", g.From, g.To, g.Topic, g.Partition, g.To-g.From)
				return err
			})
		},
	}
	fl := c.Flags()
	fl.StringVar(&g.Topic, "topic", "", "topic, from its second epoch on with # and the number")
	fl.Int32Var(&g.Partition, "partition", -1, "partition")
	fl.Int64Var(&g.From, "from", -1, "first offset that is lost")
	fl.Int64Var(&g.To, "to", -1, "offset behind the last that is lost")
	s.add(c)
	return c
}

func newNewEpochCommand() *cobra.Command {
	var topic string
	var s signature
	c := &cobra.Command{
		Use:   "new-epoch --topic T --reason WHY --by NAME",
		Short: "Say that a topic was created again, or is on another cluster, on purpose",
		Long: `Records on billing.settlements that the records of a topic begin anew. They are read from the
topic's beginning and stored as topic#2, and so on, beside those of the epochs before, whose calls
go on to be closed. A call that is there again is a duplicate like any other. Refused are topics
that are the log that was read so far.`,
		Example: `  tollstream settle new-epoch --topic faceid.calls --reason 'moved to another cluster' \
    --by li.na`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := s.check(); err != nil {
				return err
			}
			return onSettlements(c, func(ctx context.Context, sys *system) error {
				t := &sys.cfg.Kafka.Topics
				inputs := append([]string{t.AccountEvents}, t.Calls...)
				if !slices.Contains(inputs, topic) {
					return commandLine{fmt.Errorf("--topic %q is no input topic: %s", topic,
						strings.Join(inputs, ", "))}
				}
				e, err := sys.newEpoch(ctx, topic, s.reason, s.by)
				if err != nil {
					return err
				}
				_, err = fmt.Fprintf(c.OutOrStdout(), "epoch %d of %s began: id %s on cluster %q, stored "+
					"as %s\n", e.Number, e.Topic, e.TopicID, e.ClusterID, e.Log())
				return err
			})
		},
	}
	c.Flags().StringVar(&topic, "topic", "", "input topic, by its name in Kafka (required)")
	s.add(c)
	return c
}

// onSettlements runs a command over Kafka and ClickHouse as configured.
func onSettlements(c *cobra.Command, run func(context.Context, *system) error) error {
	cfg, cat, err := configuredCatalog(c)
	if err != nil {
		return err
	}
	s := &system{cfg: cfg, cat: cat}
	defer s.Close()
	ctx := c.Context()
	if s.store, err = openStore(ctx, cfg, cat); err != nil {
		return err
	}
	if err := s.store.Ready(ctx); err != nil {
		return err
	}
	if err := s.connectKafka(ctx); err != nil {
		return err
	}
	return run(ctx, s)
}

func (s *system) acceptGap(ctx context.Context, g stored.Gap) error {
	gaps, err := s.publisher.Gaps(ctx)
	if err != nil {
		return err
	}
	epochs, err := s.publisher.Epochs(ctx)
	if err != nil {
		return err
	}
	check := settle.GapCheck{Log: s.log, Store: s.store, Gaps: gaps, Epochs: epochs}
	if err := check.Refusal(ctx, g); err != nil {
		return fmt.Errorf("not accepted: %w", err)
	}
	return s.publisher.AcceptGap(ctx, g)
}
