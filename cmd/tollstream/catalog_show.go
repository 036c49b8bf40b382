package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/catalog"
	"tollstream/pipeline/tagging"
)

// showFlags describe one imagined call.
type showFlags struct {
	catalog, opened, at, code string
	dims                      []string
	byName                    map[string]*string // convenience flags, by dimension
	intention                 bool
}

func newCatalogShowCommand(load func(string) (*catalog.Catalog, error)) *cobra.Command {
	f := &showFlags{byName: map[string]*string{}}
	c := &cobra.Command{
		Use:   "show --account-opened T --at T [--channel C] [--dim name=value]...",
		Short: "Show what a catalogue says about a call: tags, price, packages, charged codes",
		Example: `  tollstream catalog show --channel wechat_native_h5 --compare-source authority \
    --account-opened 2021-01-01 --at 2021-09-01`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cat, err := load(f.catalog)
			if err != nil {
				return err
			}
			rec, opened, err := f.record(cat)
			if err != nil {
				return fmt.Errorf("%w: %w", err, errUsage)
			}
			show(c.OutOrStdout(), cat, opened, rec)
			return nil
		},
	}
	flags := c.Flags()
	flags.StringVar(&f.catalog, "catalog", "", "catalogue file (default: the embedded FaceID one)")
	flags.StringVar(&f.opened, "account-opened", "", "when the main account opened the product")
	flags.StringVar(&f.at, "at", "", "when the call was made: 2021-09-01T10:00, a date or RFC 3339")
	flags.StringVar(&f.code, "code", "", "a result code to judge")
	flags.StringArrayVar(&f.dims, "dim", nil, "a dimension of the call as name=value; repeatable")
	for _, name := range []string{"channel", "action", "compare_source", "edition"} {
		f.byName[name] = flags.String(strings.ReplaceAll(name, "_", "-"), "",
			"short for --dim "+name+"=")
	}
	flags.BoolVar(&f.intention, "intention", false, "short for --dim intention=true")
	return c
}

// record makes the call that the flags describe, and the account's opening.
func (f *showFlags) record(cat *catalog.Catalog) (*billing.CallRecord, billing.Instant, error) {
	rec := &billing.CallRecord{Dims: make([]string, len(cat.Dimensions)), ResultCode: f.code}
	pairs := slices.Clone(f.dims)
	for _, name := range slices.Sorted(maps.Keys(f.byName)) {
		if *f.byName[name] != "" {
			pairs = append(pairs, name+"="+*f.byName[name])
		}
	}
	if f.intention {
		pairs = append(pairs, "intention=true")
	}
	for _, pair := range pairs {
		name, value, _ := strings.Cut(pair, "=")
		at := cat.DimensionIndex(name)
		if at < 0 {
			return nil, 0, fmt.Errorf("%q is not a dimension of the catalogue %s (it has %s)",
				name, cat.Product, dimensionNames(cat))
		}
		rec.Dims[at] = value
	}
	opened, err := parseMoment("--account-opened", f.opened, cat.Settings.Zone)
	if err != nil {
		return nil, 0, err
	}
	rec.OccurredAt, err = parseMoment("--at", f.at, cat.Settings.Zone)
	return rec, opened, err
}

func dimensionNames(cat *catalog.Catalog) string {
	names := make([]string, len(cat.Dimensions))
	for i, d := range cat.Dimensions {
		names[i] = d.Name
	}
	return strings.Join(names, ", ")
}

// parseMoment reads a date or a wall-clock time of the catalogue's zone, or RFC 3339.
func parseMoment(flag, s string, zone *time.Location) (billing.Instant, error) {
	if s == "" {
		return 0, fmt.Errorf("%s is missing", flag)
	}
	for _, layout := range []string{time.DateOnly, "2006-01-02T15:04", "2006-01-02T15:04:05"} {
		if t, err := time.ParseInLocation(layout, s, zone); err == nil {
			return billing.InstantOf(t), nil
		}
	}
	i, err := billing.ParseInstant(s)
	if err != nil {
		return 0, fmt.Errorf("%s: %q is not a time; write 2021-09-01 or 2021-09-01T10:00", flag, s)
	}
	return i, nil
}

func show(out io.Writer, cat *catalog.Catalog, opened billing.Instant, rec *billing.CallRecord) {
	cohort := cat.CohortOf(opened)
	j := tagging.Judge(cat, cohort, rec)
	day := billing.DayOf(rec.OccurredAt, cat.Settings.Zone)
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	t.Style().Options = table.OptionsNoBordersAndSeparators
	row := func(key, value string) { t.AppendRow(table.Row{key, value}) }
	row("catalogue", cat.Product+" "+cat.Version)
	row("day", day.String()+" "+cat.Settings.Zone.String())
	row("cohort", fmt.Sprintf("%s, settled %s (%s, price document %s)", cohort.Name, cohort.Cycle,
		cohort.Source, cohort.PriceDoc))
	if ch, ok := cat.Channel(j.Channel); ok {
		row("channel", ch.Key+paren("document "+ch.Doc, ch.Doc))
	}
	switch {
	case j.FreeAction:
		row("charge", "free: the action is never charged by itself, and needs no tag")
	case j.NoTag != "":
		row("tag", "none: "+j.NoTag)
		row("charge", "quarantined as "+string(billing.NoBillingTag))
	default:
		row("postpaid tag", tagText(cat, j.Postpaid))
		row("prepaid tag", tagText(cat, j.Prepaid))
		row("legacy tag", tagText(cat, j.Legacy))
		showPrice(row, cat, cohort, j.Postpaid, day)
		showPackages(row, cat, j, day)
		showCodes(row, cat.Codes[j.CodeTable], j, rec.ResultCode, day)
	}
	for line := range strings.Lines(t.Render()) {
		fmt.Fprintln(out, strings.TrimRight(line, " \n"))
	}
}

func paren(s, given string) string {
	if given == "" {
		return ""
	}
	return " (" + s + ")"
}

func tagText(cat *catalog.Catalog, id catalog.TagID) string {
	if id == "" {
		return "none"
	}
	return cat.TagName(id) + " (" + string(id) + ")"
}

func showPrice(row func(string, string), cat *catalog.Catalog, cohort *catalog.Cohort,
	tag catalog.TagID, day billing.Day,
) {
	list, ok := cat.PriceListFor(cohort.Name, tag, day)
	if !ok {
		row("price", "none on that day")
		return
	}
	mode := "all of the month's units at the price of the tier reached"
	if list.Graduated {
		mode = "each unit at the price of its own tier"
	}
	if len(list.Tiers) == 1 {
		mode = "flat"
	}
	row("price list", fmt.Sprintf("%s, %s, source %s", list.ID, mode, list.Source))
	above := int64(0) // a lower bound that is exclusive belongs to the tier below
	if cat.Settings.TierLowerBound == "exclusive" {
		above = 1
	}
	for i, t := range list.Tiers {
		to := "and more"
		if i+1 < len(list.Tiers) {
			to = "to " + strconv.FormatInt(list.Tiers[i+1].From-1+above, 10)
		}
		price := t.Price.String() + " " + cat.Currency
		if t.Unpublished {
			price = "not published; " + price + " holds"
		}
		row("", fmt.Sprintf("%7d %-12s %s", t.From+above, to, price))
	}
	for _, d := range cat.PostpaidDiscountsOn(tag, day) {
		row("discount", fmt.Sprintf("x %s, %s to %s, source %s", d.Factor, d.From, d.To, d.Source))
	}
}

// showPackages lists the offers that reach the call, with the sizes on sale that day.
func showPackages(row func(string, string), cat *catalog.Catalog, j tagging.Judgement,
	day billing.Day,
) {
	label := "packages"
	for _, tag := range slices.Sorted(maps.Keys(cat.Packages)) {
		if !cat.Reaches(tag, j.Prepaid, j.Legacy) {
			continue
		}
		row(label, tagText(cat, tag)+", source "+cat.Packages[tag].Source)
		label = ""
		var sizes []int64
		for _, p := range cat.Packages[tag].Prices {
			sizes = append(sizes, p.Size)
		}
		slices.Sort(sizes)
		onSale := false
		for _, size := range slices.Compact(sizes) {
			if price, ok := cat.ListedPackagePrice(tag, size, day); ok {
				row("", fmt.Sprintf("%7d for %s %s", size, price, cat.Currency))
				onSale = true
			}
		}
		if !onSale {
			row("", "  not on sale that day")
		}
	}
	if label != "" {
		row(label, "none on the list")
	}
}

func showCodes(row func(string, string), codes *catalog.CodeTable, j tagging.Judgement,
	code string, day billing.Day,
) {
	row("result codes", codes.Name+" (field "+codes.Field+"), source "+codes.Source)
	row("charged codes", strings.Join(codes.ChargedOn(day), ", "))
	switch {
	case code == "":
	case j.Charged:
		row("code "+code, "charged")
	case j.CodeKnown:
		row("code "+code, "free")
	default:
		row("code "+code, "free, and unknown to the catalogue")
	}
}
