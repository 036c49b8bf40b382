package main

import (
	"context"
	"fmt"
	"io"

	"tollstream/sinks/clickhouse"
)

// callsTogether and accountsTogether bound what is in memory at once when closings are made again.
// An account with more calls than that is a group of its own.
const (
	callsTogether    = 200_000
	accountsTogether = 500
)

// eachGroup runs over all main accounts, or only one, as many together as fit in memory, and shows
// how far it is.
func eachGroup(
	ctx context.Context, s *clickhouse.Store, only string, stderr io.Writer,
	run func(accounts []string) error,
) error {
	all, err := s.VerifiableAccounts(ctx)
	if err != nil {
		return err
	}
	groups, total := accountGroups(all, only)
	bar := progress(stderr, int(total))
	defer bar.Finish()
	for _, g := range groups {
		if err := run(g.accounts); err != nil {
			return fmt.Errorf("accounts %s to %s: %w", g.accounts[0], g.accounts[len(g.accounts)-1], err)
		}
		bar.Add64(int64(g.calls))
	}
	return nil
}

// accountGroup are accounts whose closings are made again together.
type accountGroup struct {
	accounts []string
	calls    uint64
}

// accountGroups cuts the accounts, or the one that is asked for, into groups that fit in memory.
func accountGroups(all []clickhouse.AccountCalls, only string) ([]accountGroup, uint64) {
	var groups []accountGroup
	var total uint64
	for _, a := range all {
		if only != "" && a.AccountID != only {
			continue
		}
		last := len(groups) - 1
		if last < 0 || len(groups[last].accounts) == accountsTogether ||
			groups[last].calls+a.Calls > callsTogether {
			groups = append(groups, accountGroup{})
			last++
		}
		groups[last].accounts = append(groups[last].accounts, a.AccountID)
		groups[last].calls += a.Calls
		total += a.Calls
	}
	return groups, total
}
