// Command tollstream turns call logs into bills. Each verb has a file of its own; wire.go connects
// the parts.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

// Exit statuses, part of the contract.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

// errUsage marks errors that come from wrong usage or bad configuration (exit status 2).
var errUsage = errors.New("see --help")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run executes one command line and gives its exit status. Errors are one line on stderr.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := newRootCommand()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	switch {
	case err == nil, errors.Is(err, context.Canceled) && ctx.Err() != nil:
		return exitDone
	case errors.Is(err, errUsage):
		fmt.Fprintf(stderr, "tollstream: %s\n", oneLine(err))
		return exitUsage
	default:
		fmt.Fprintf(stderr, "tollstream: %s\n", oneLine(err))
		return exitFailed
	}
}

// oneLine is an error as it is shown. The mark of wrong usage is for the exit status only, save
// where the command line itself was wrong.
func oneLine(err error) string {
	text := strings.Join(strings.Fields(err.Error()), " ")
	if errors.Is(err, errCommandLine) {
		return text
	}
	return strings.TrimSuffix(text, ": "+errUsage.Error())
}

// errCommandLine marks mistakes in flags and arguments, which --help explains.
var errCommandLine = errors.New("command line")

// commandLine marks an error of the command line.
type commandLine struct{ error }

func (e commandLine) Error() string { return e.error.Error() + ": " + errUsage.Error() }
func (e commandLine) Is(target error) bool {
	return target == errCommandLine || target == errUsage
}

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "tollstream",
		Short:         "Turns call logs in Kafka into explained bills in ClickHouse",
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error {
		return commandLine{err}
	})
	root.AddCommand(
		newDemoCommand(),
		newRunCommand(),
		newReadyCommand(),
		newRebuildCommand(),
		newEmbeddedCommand(),
		newBillCommand(),
		newGenerateCommand(),
		newCatalogCommand(loadCatalog),
		newClickHouseChildCommand(),
		configured(newMigrateCommand(configuredOptions)),
		configured(newBillsCommand(configuredStore)),
		configured(newSimulateCommand(configuredStore)),
		configured(newQuarantineCommand(configuredStore)),
		configured(newSettleCommand()),
		configured(newAuditCommand(configuredStore)),
		configured(newReportCommand(configuredStore)),
	)
	markUsageErrors(root)
	return root
}

// markUsageErrors makes cobra's complaints about arguments exit with status 2.
func markUsageErrors(c *cobra.Command) {
	for _, sub := range c.Commands() {
		markUsageErrors(sub)
	}
	check := c.Args
	if c.HasSubCommands() {
		check = func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("unknown command %q for %q", args[0], c.CommandPath())
			}
			return nil
		}
		c.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
	} else if check == nil {
		check = cobra.NoArgs
	}
	c.Args = func(c *cobra.Command, args []string) error {
		if err := check(c, args); err != nil {
			return commandLine{err}
		}
		return nil
	}
}
