// Command tollbench measures tollstream and other ways of getting call records from Kafka into
// ClickHouse, on one machine, over one topic, into tables of one shape. Each way is a contender
// with a file of its own; what it stored is compared with what was sent before its time counts.
//
// It owns: the topic, the servers (processes of this binary), the measuring, the comparison of
// answers and the report. What is measured and how is in docs/benchmarks.md.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"tollstream/deploy/embedded"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := newRootCommand().ExecuteContext(ctx)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "tollbench: %s\n", err)
		os.Exit(1)
	}
}

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "tollbench",
		Short:         "Measures tollstream beside other ways from Kafka to ClickHouse",
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.AddCommand(newIngestCommand(), newQueryCommand(), newSealCommand(), newScaleCommand(),
		newRebuildCommand(), newAccountsCommand(), newCloseCommand(),
		newBrokerCommand(), newUsualCommand(), newFetchCommand(), newInsertCommand(), &cobra.Command{
			Use: embedded.HiddenVerb, Hidden: true,
			RunE: func(c *cobra.Command, _ []string) error { return embedded.ServeChild(c.Context()) },
		})
	return root
}
