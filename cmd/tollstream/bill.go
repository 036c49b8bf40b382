package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/cheggaaa/pb/v3"
	"github.com/spf13/cobra"

	"tollstream/pipeline/batch"
	"tollstream/pipeline/billing"
	"tollstream/pipeline/catalog"
	"tollstream/schemas"
	"tollstream/sinks/file"
)

// billFlags are the flags of `tollstream bill`.
type billFlags struct {
	calls, events, until, catalog           string
	out, statusOut, quarantineOut, booksOut string
}

func newBillCommand() *cobra.Command {
	var f billFlags
	c := &cobra.Command{
		Use:   "bill --calls FILE --events FILE --until TIME",
		Short: "Make the bills of call and event files, in memory",
		Long: `Runs the whole pipeline over two files of JSON lines, with no broker and no database:
decode, enrich, rate and close. Lines may carry arrived_at, the stand-in for the broker's
timestamp. Closings happen at every nominal close time up to and including --until.`,
		RunE: func(c *cobra.Command, _ []string) error {
			return runBill(&f, c.OutOrStdout(), c.ErrOrStderr())
		},
	}
	fl := c.Flags()
	fl.StringVar(&f.calls, "calls", "", "file of call records, one JSON object a line")
	fl.StringVar(&f.events, "events", "", "file of account events, one JSON object a line")
	fl.StringVar(&f.until, "until", "", "RFC 3339 time of the last closing to run")
	fl.StringVar(&f.catalog, "catalog", "", "catalogue file (default: the embedded FaceID one)")
	fl.StringVar(&f.out, "out", "-", "where bills go, one canonical JSON a line; - is stdout")
	fl.StringVar(&f.statusOut, "status-out", "", "where status changes go")
	fl.StringVar(&f.quarantineOut, "quarantine-out", "", "where quarantined records go")
	fl.StringVar(&f.booksOut, "books-out", "", "where the books of each partition go")
	return c
}

func runBill(f *billFlags, stdout, stderr io.Writer) error {
	if f.calls == "" || f.events == "" || f.until == "" {
		return commandLine{errors.New("--calls, --events and --until are needed")}
	}
	until, err := billing.ParseInstant(f.until)
	if err != nil {
		return fmt.Errorf("--until: %w: %w", err, errUsage)
	}
	cat, err := loadCatalog(f.catalog)
	if err != nil {
		return err
	}
	records, err := file.ReadRecords(f.events, f.calls)
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%w: %w", err, errUsage)
	}
	if err != nil {
		return err
	}
	bar := progress(stderr, len(records))
	out, err := batch.Run(cat, records, until, func(n int) { bar.SetCurrent(int64(n)) })
	bar.Finish()
	if err != nil {
		return err
	}
	return writeBillOutput(f, cat, out, stdout)
}

func writeBillOutput(
	f *billFlags, cat *catalog.Catalog, out *batch.Output, stdout io.Writer,
) error {
	zone := cat.Settings.Zone
	for _, o := range []struct {
		path  string
		write func(io.Writer) error
	}{
		{f.out, func(w io.Writer) error { return file.WriteBills(w, out.Bills, zone) }},
		{f.statusOut, func(w io.Writer) error { return file.WriteStatus(w, out.Status, zone) }},
		{f.quarantineOut, func(w io.Writer) error {
			return file.WriteQuarantine(w, out.Quarantined, zone)
		}},
		{f.booksOut, func(w io.Writer) error { return file.WriteBooks(w, out.Books) }},
	} {
		if err := file.To(o.path, stdout, o.write); err != nil {
			return err
		}
	}
	return nil
}

// progress shows a bar on a terminal for runs that take long, and nothing elsewhere.
func progress(stderr io.Writer, total int) *pb.ProgressBar {
	bar := pb.New(total)
	bar.SetWriter(stderr)
	if f, ok := stderr.(*os.File); !ok || !isTerminal(f) || total < 100_000 {
		bar.SetWriter(io.Discard)
		bar.Set(pb.Static, true)
	}
	return bar.Start()
}

func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// loadCatalog reads and checks a catalogue file; without a path, the embedded FaceID catalogue.
func loadCatalog(path string) (*catalog.Catalog, error) {
	if path == "" {
		return catalog.Parse("faceid/catalog.yaml", schemas.FaceIDCatalog())
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("catalogue: %w: %w", err, errUsage)
	}
	cat, err := catalog.Parse(path, data)
	if faults := (catalog.Faults{}); errors.As(err, &faults) {
		return nil, brokenCatalog{path, faults}
	}
	if err != nil {
		return nil, fmt.Errorf("catalogue: %w: %w", err, errUsage)
	}
	return cat, nil
}

// brokenCatalog is a catalogue with faults. Its text is one line; `catalog check` shows them all.
type brokenCatalog struct {
	path   string
	faults catalog.Faults
}

func (b brokenCatalog) Error() string {
	text := "catalogue: " + b.faults[0].Error()
	if n := len(b.faults) - 1; n > 0 {
		text += fmt.Sprintf(" (and %d more; see `tollstream catalog check %s`)", n, b.path)
	}
	return text
}

func (b brokenCatalog) Unwrap() []error { return []error{b.faults, errUsage} }
