package main

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"
	"github.com/spf13/cobra"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/stored"
	"tollstream/sinks/clickhouse"
)

var errNoStore = errors.New("the store was opened")

func noStore(*cobra.Command) (*clickhouse.Store, *time.Location, error) {
	return nil, nil, errNoStore
}

// Wrong usage is found before anything is connected to.
func TestBillsAndQuarantineUsage(t *testing.T) {
	for _, test := range []struct {
		args string
		want string // part of a usage error; empty where the arguments are right
	}{
		{"bills list", ""},
		{"bills list --account a --from 2023-01-01 --to 2023-02-01 --cycle daily", ""},
		{"bills list --cycle weekly", "neither daily nor monthly"},
		{"bills list --from 2023-02-30", "not a date"},
		{"bills list stray", "unknown command"},
		{"bills show", "1 arg"},
		{"bills show a/2023-01", ""},
		{"bills explain a/2023-01 2", ""},
		{"bills explain a/2023-01 2 --calls --limit 0 --format json", ""},
		{"bills explain a/2023-01 2 --limit 5", "go with --calls"},
		{"bills explain a/2023-01 --calls --limit -1", "0 for all"},
		{"bills explain a/2023-01 --calls --format xml", "neither text nor json"},
		{"bills explain a/2023-01 0", "not the number of a line"},
		{"bills explain a/2023-01 x", "not the number of a line"},
		{"bills export --format xml", "neither json nor csv"},
		{"bills export --format csv", ""},
		{"quarantine list --reason no_billing_tag --since 2023-01-01T00:00:00+08:00", ""},
		{"quarantine list --reason nonsense", "not one of account_closed"},
		{"quarantine list --since yesterday", "RFC 3339"},
	} {
		root := &cobra.Command{Use: "tollstream", SilenceErrors: true, SilenceUsage: true}
		root.AddCommand(newBillsCommand(noStore), newQuarantineCommand(noStore))
		markUsageErrors(root)
		root.SetArgs(strings.Fields(test.args))
		err := root.Execute()
		if test.want == "" {
			if !errors.Is(err, errNoStore) {
				t.Errorf("%s: %v", test.args, err)
			}
			continue
		}
		if !errors.Is(err, errUsage) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want a usage error with %q", test.args, err, test.want)
		}
	}
}

func TestListsSayWhenTheyAreCut(t *testing.T) {
	var out, warning bytes.Buffer
	c := &cobra.Command{}
	c.SetOut(&out)
	c.SetErr(&warning)
	bills := []clickhouse.BillTotal{
		{BillID: "a/2023-01-05", Currency: "CNY", Total: decimal.RequireFromString("1.5")},
		{BillID: "b/2023-01-05", Currency: "CNY"},
	}
	if err := listBills(c, bills, 1, time.UTC); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "1.50") || strings.Contains(out.String(), "b/2023") ||
		!strings.Contains(warning.String(), "more than 1") {
		t.Errorf("out %s\nwarning %s", out.String(), warning.String())
	}
	out.Reset()
	rows := []stored.Quarantined{{Refusal: billing.Refusal{Reason: billing.NoBillingTag,
		Detail: "unknown channel \x1b[2J"}, AccountID: "a"}}
	if err := listQuarantine(c, rows, 10, time.UTC); err != nil {
		t.Fatal(err)
	}
	if s := out.String(); !strings.Contains(s, billing.NoBillingTag.Hint()) ||
		strings.Contains(s, "\x1b") {
		t.Errorf("got %q", s)
	}
}

func TestMigrateSaysWhatItDid(t *testing.T) {
	list := []clickhouse.Migration{{Version: 1, Name: "0001_input.sql"}}
	for _, test := range []struct {
		result clickhouse.MigrateResult
		dryRun bool
		want   string
	}{
		{clickhouse.MigrateResult{CreatedDatabase: true, Applied: list, Hints: 3}, false,
			"created database billing\napplied 0001_input.sql (0s)\n" +
				"wrote 3 hints of quarantine reasons\n"},
		{clickhouse.MigrateResult{CreatedDatabase: true, Applied: list}, true,
			"would create database billing\nwould apply 0001_input.sql\n"},
		{clickhouse.MigrateResult{Before: 6, After: 6}, false,
			"database billing: version 6\nthe schema is up to date\n"},
	} {
		var out bytes.Buffer
		if err := writeMigrateResult(&out, "", &test.result, test.dryRun); err != nil {
			t.Fatal(err)
		}
		if out.String() != test.want {
			t.Errorf("have %q, want %q", out.String(), test.want)
		}
	}
}
