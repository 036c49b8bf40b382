package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"tollstream/pipeline/audit"
	"tollstream/pipeline/ingest"
	"tollstream/pipeline/settle"
	"tollstream/pipeline/stored"
	"tollstream/sinks/clickhouse"
)

// errOff ends an audit that found something with exit status 1.
var errOff = errors.New("the books are off")

func newAuditCommand(open storeOpener) *cobra.Command {
	var c audit.Choice
	var days billFilterFlags
	var format string
	command := &cobra.Command{
		Use:   "audit [--topic T] [--partition P] [--from DAY] [--to DAY] [--format table|json]",
		Short: "Count the books of closings again, and prove that every row stands",
		Long: `Counts what became of every record between the barriers of each closing, by partition and day,
each term on its own from what is stored now, and looks for every row that belongs to them, as a
closing does. Rows that are missing are named by topic, partition, offset and what the record is;
accepted gaps and epochs are shown with who said so and why. Without --topic and --partition it also
compares the calls that each closing took with those that stand. It writes nothing; its ClickHouse
user has to be allowed to read the quarantine (role tollstream_audit). It asks Kafka only about
records of which no delivery is stored. What is off ends it with exit status 1.`,
		Example: "  tollstream audit --from 2023-02-01 --to 2023-03-01\n" +
			"  tollstream audit --topic faceid.calls --partition 3 --format json",
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			filter, err := days.filter()
			if err != nil {
				return err
			}
			if auditFormats[format] == nil {
				return fmt.Errorf("--format %q is neither table nor json: %w", format, errUsage)
			}
			c.From, c.To = filter.From, filter.To
			return open.with(func(
				ctx context.Context, command *cobra.Command, s *clickhouse.Store, zone *time.Location,
			) error {
				cfg, cat, err := configuredCatalog(command)
				if err != nil {
					return err
				}
				n := namer{system: system{cfg: cfg, cat: cat, store: s}, stderr: command.ErrOrStderr()}
				defer n.close()
				report, err := audit.Run(ctx, audit.Options{Store: s, Zone: zone, Name: n.name}, c)
				if err != nil {
					return fmt.Errorf("audit: %w", err)
				}
				if err := auditFormats[format](command.OutOrStdout(), report, zone); err != nil {
					return err
				}
				return verdict(report)
			})(command)
		},
	}
	fl := command.Flags()
	fl.StringVar(&c.Topic, "topic", "", "only this topic, or one epoch of it, such as faceid.calls#2")
	fl.Int32Var(&c.Partition, "partition", -1, "only this partition")
	fl.StringVar(&days.from, "from", "", "first day whose closing is audited, YYYY-MM-DD")
	fl.StringVar(&days.to, "to", "", "day after the last one, YYYY-MM-DD")
	fl.StringVar(&format, "format", "table", "table or json")
	return command
}

func verdict(r *audit.Report) error {
	faults := r.Faults()
	if len(faults) == 0 {
		return nil
	}
	return fmt.Errorf("%w in %d places, the first: %s; put rows back from a backup, or make the "+
		"database again with tollstream rebuild", errOff, len(faults), faults[0])
}

// namer asks Kafka what records are of which no delivery is stored, once there are some.
type namer struct {
	system
	stderr io.Writer
	failed bool
}

// name leaves records unknown that Kafka cannot tell, and says so.
func (n *namer) name(ctx context.Context, missing []settle.Missing) []settle.Missing {
	if n.failed || !slices.ContainsFunc(missing, func(m settle.Missing) bool {
		return m.Kind == settle.KindUnknown
	}) {
		return missing
	}
	named, err := n.ask(ctx, missing)
	if err != nil {
		n.failed = true
		fmt.Fprintf(n.stderr, "what stood at offsets that are unknown is not looked at: %s\n",
			oneLine(err))
		return missing
	}
	return named
}

func (n *namer) ask(ctx context.Context, missing []settle.Missing) ([]settle.Missing, error) {
	if n.log == nil {
		if _, err := n.connectLog(ctx); err != nil {
			return nil, err
		}
	}
	epochs, err := n.store.Epochs(ctx)
	if err != nil {
		return nil, err
	}
	for _, m := range missing {
		if m.Kind != settle.KindUnknown {
			continue
		}
		last := epochs.Last(stored.TopicOf(m.Topic))
		cluster, id, err := n.log.TopicID(ctx, last.Topic)
		if err != nil {
			return nil, err
		}
		if err := last.Check(cluster, id); err != nil {
			return nil, err
		}
	}
	look := ingest.NewLooker(n.log, n.cat, n.cfg.Kafka.Topics.AccountEvents).Look
	return (&settle.Namer{Log: n.log, Store: n.store, Epochs: epochs, Look: look,
		Most: settle.MissingMax}).Name(ctx, missing)
}

func (n *namer) close() {
	if n.log != nil {
		n.log.Close()
	}
}
