package chaos

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/generate"
	"tollstream/pipeline/props"
)

var (
	program = flag.String("program", "", "the built tollstream; nothing is hurt without it")
	kills   = flag.Int("kills", 8, "kills of each kind")
	seed    = flag.Uint64("seed", 1, "what is done, to whom and when")
	million = flag.Bool("million", false, "a million records, and kills of the pipeline only")

	mutantFlag = flag.String("mutant", "", "break the pipeline like this, or all ways in turn")
)

// TestMain lets this binary be the broker's process as well.
func TestMain(m *testing.M) {
	served, err := ServeBroker()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if !served {
		os.Exit(m.Run())
	}
}

// TestChaos runs one round: records flow, everything is hurt, and at the end the bills are the
// naive biller's over the records in the log, and everything is there once.
func TestChaos(t *testing.T) {
	if *program == "" {
		t.Skip("takes minutes; run make chaos")
	}
	path, err := filepath.Abs(*program)
	if err != nil {
		t.Fatal(err)
	}
	report, folder, err := round(t, path, options())
	if err != nil {
		t.Fatalf("seed %d: %v\nThe timeline, logs and data are kept in %s", *seed, err, folder)
	}
	t.Log(report)
	remove(t, folder)
}

// options are those of the flags.
func options() Options {
	o := Options{Kills: *kills, Pause: [2]time.Duration{500 * time.Millisecond, 2 * time.Second},
		Batches: [2]int{300, 5_000}, SettleIn: 15 * time.Minute, LackMax: 5 * time.Minute,
		Sweep: 5 * time.Second, Feed: flow(*kills)}
	if *million {
		o.Workers, o.Pause = true, [2]time.Duration{time.Second, 5 * time.Second}
		o.Batches, o.Sweep = [2]int{5_000, 20_000}, time.Minute
		o.SettleIn, o.Feed = 30*time.Minute, aMillion()
	}
	return o
}

// round runs a round in a new folder.
func round(t *testing.T, binary string, o Options) (report, folder string, err error) {
	t.Helper()
	if o.Catalog, err = props.Catalog(); err != nil {
		t.Fatal(err)
	}
	if o.Folder, err = os.MkdirTemp("", "tollstream-chaos-"); err != nil {
		t.Fatal(err)
	}
	o.Program, o.Seed, o.Feed.Seed = binary, *seed, *seed
	t.Logf("seed %d, folder %s", *seed, o.Folder)
	report, err = Round(t.Context(), o)
	return report, o.Folder, err
}

func remove(t *testing.T, folder string) {
	t.Helper()
	if err := os.RemoveAll(folder); err != nil {
		t.Error(err)
	}
}

// flow makes records for a round with so many kills: a few weeks around the turn of a year, after
// which new accounts are billed by the day, with everything that producers do wrong.
func flow(kills int) generate.Options {
	days := billing.Day(min(10+kills/8, 45))
	return generate.Options{From: billing.DateOf(2022, 12, 28),
		To: billing.DateOf(2022, 12, 28) + days, Accounts: 12, Calls: 6_000 + 50*kills,
		Rates: generate.Rates{Duplicates: 0.05, Conflicts: 0.3, Late: 0.05, Malformed: 0.01,
			Unknown: 0.01, UnknownCodes: 0.01, FreeActions: 0.01, Corrections: 0.2}}
}

// aMillion is what TestMillion of cmd/tollstream sends.
func aMillion() generate.Options {
	return generate.Options{From: billing.DateOf(2022, 12, 25), To: billing.DateOf(2023, 1, 12),
		Accounts: 200, Calls: 1_000_000,
		Rates: generate.Rates{Duplicates: 0.02, Conflicts: 0.3, Late: 0.02, Malformed: 0.005,
			Unknown: 0.001, UnknownCodes: 0.001}}
}
