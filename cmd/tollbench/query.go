package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
)

// queryOptions are the flags of `tollbench query`.
type queryOptions struct {
	Sizes            []historySize // the largest first
	Accounts, Rounds int
	Seed             uint64
	Out              string `json:"-"`
	Data             string `json:"-"`
	Program          string `json:"-"`
	self             string
	more             []question // beside the usual ones, for tests
}

// historySize is how much a database has.
type historySize struct{ Calls, Days int }

func newQueryCommand() *cobra.Command {
	o := &queryOptions{}
	var calls, days, smaller int
	c := &cobra.Command{
		Use:   "query",
		Short: "Measure dashboards and explanations over many calls",
		Long: `Fills an embedded ClickHouse with the calls of closed days and of an open one, and asks what the
panels of the dashboards, the commands on bills and the HTTP API ask, again and again. Does the same
with fewer days, so that it shows by how much each question grows. Prints a table, and writes
query.json into --out. A folder that was filled before is used again. The exit status is 1 where a
question fails, or has no rows where there have to be some.`,
		RunE: func(c *cobra.Command, _ []string) (err error) {
			if o.self, err = os.Executable(); err != nil {
				return err
			}
			o.Sizes = []historySize{{calls, days}}
			if smaller > 1 {
				o.Sizes = append(o.Sizes, historySize{calls / smaller, days / smaller})
			}
			r, err := measureQueries(c.Context(), o, c.ErrOrStderr())
			if err != nil {
				return err
			}
			fmt.Fprint(c.OutOrStdout(), r.text())
			return errors.Join(saveJSON(o.Out, "query.json", r), r.fault())
		},
	}
	f := c.Flags()
	f.IntVar(&calls, "calls", 100_000_000, "calls in the database, about")
	f.IntVar(&smaller, "smaller", 4,
		"ask a database of so many times fewer days and calls too; 1 leaves it out")
	f.IntVar(&days, "days", 365, "closed days; one more is open")
	f.IntVar(&o.Accounts, "accounts", 4000, "main accounts")
	f.IntVar(&o.Rounds, "rounds", 20,
		"how often each question is asked, after once that counts apart; 0 only fills")
	f.Uint64Var(&o.Seed, "seed", 1, "number from which the calls follow")
	f.StringVar(&o.Data, "data", "", "folder for the databases, kept; a temporary one otherwise")
	f.StringVar(&o.Out, "out", "build/bench", "folder for the results")
	f.StringVar(&o.Program, "program", "build/tollstream", "the built tollstream")
	return c
}

// measureQueries asks everything of databases of all sizes, the largest first.
func measureQueries(
	ctx context.Context, o *queryOptions, notes io.Writer,
) (_ *queryReport, err error) {
	folder := o.Data
	if folder == "" {
		if folder, err = os.MkdirTemp("", "tollbench-"); err != nil {
			return nil, err
		}
		defer os.RemoveAll(folder) //nolint:errcheck // temporary
	}
	r := newQueryReport(o)
	for _, s := range o.Sizes {
		h := history{Calls: s.Calls, Days: s.Days, Accounts: o.Accounts, Seed: o.Seed}
		size, err := o.measureSize(ctx, h, filepath.Join(folder, fmt.Sprint("query-", s.Calls)), notes)
		if err != nil {
			return nil, fmt.Errorf("%d calls: %w", s.Calls, err)
		}
		r.Sizes = append(r.Sizes, size)
	}
	r.finish()
	return r, nil
}

// measureSize asks everything of one database.
func (o *queryOptions) measureSize(
	ctx context.Context, h history, folder string, notes io.Writer,
) (*querySize, error) {
	f, err := h.serve(ctx, o.self, folder, notes)
	if err != nil {
		return nil, err
	}
	defer f.close()
	size := &querySize{History: h, Filled: f.took.Round(time.Second).String(), Bytes: f.bytes}
	if o.Rounds == 0 {
		return size, nil
	}
	m, err := startMeter(f.server.Addr())
	if err != nil {
		return nil, err
	}
	defer m.close()
	list, err := f.questions(ctx, m, o.Program)
	if err != nil {
		return nil, err
	}
	list = append(list, o.more...)
	for i := range list {
		size.Answers = append(size.Answers, &answerTimes{Question: list[i].name})
	}
	if err := f.settled(ctx); err != nil {
		return nil, err
	}
	for round := range o.Rounds + 1 { // the first one is apart
		for i := range list {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			size.Answers[i].ask(ctx, &list[i], m, f.server.PID(), round == 0)
		}
		if round == 0 {
			fmt.Fprintf(notes, "%d calls: every question was asked once\n", h.Calls)
		}
	}
	return size, nil
}
