package props

import (
	"flag"
	"os/exec"
	"regexp"
	"testing"
	"time"

	"tollstream/pipeline/props/mutant"
)

var mutantsFlag = flag.Bool("mutants", false, "break the engine in small ways; all must be noticed")

var mutants = []mutant.Mutant{
	mutant.One("record of exactly 08:00 is below the barrier", "B21", "batch/run.go",
		"records[n].Arrival.Appended < m.At {", "records[n].Arrival.Appended <= m.At {"),
	mutant.One("the copy that arrived last counts", "B4", "claim/claim.go",
		"Compare(copies[winner].Record.Arrival) < 0", "Compare(copies[winner].Record.Arrival) > 0"),
	mutant.One("a quarantined copy claims its call", "B4", "batch/biller.go",
		"win := claim.Winner(copies)",
		"win := claim.Winner(copies)\nif copies[0].Refusal != nil { win = -1 }"),
	mutant.One("sub-accounts can be claimed again", "B2", "accounts/registry.go",
		"case claimed:\n", "case claimed && false:\n"),
	mutant.One("events of unopened accounts are lost", "B2", "accounts/registry.go",
		"out = append(out, r.release(cat, ev.AccountID)...)", ""),
	mutant.One("an account closes with the day, not the period", "B27", "accounts/registry.go",
		"end := billing.PeriodOf(cycle, ",
		"cycle = billing.Daily\nend := billing.PeriodOf(cycle, "),
	mutant.One("a stranger can void a call", "B27", "accounts/registry.go",
		"_, is := find(r, voided, ownCall{main, callID})",
		"is := false; for k := range r.voided { is = is || k.callID == callID }"),
	mutant.One("a code's version starts a day late", "B5", "catalog/query.go",
		"from == nil || *from <= day {", "from == nil || *from < day {"),
	mutant.One("a tag rule starts a day late", "B6", "catalog/query.go",
		"if dayOr(r.From, firstDay) <= day &&", "if dayOr(r.From, firstDay) < day &&"),
	mutant.One("a replaced tag keeps the codes of its own channel", "B5", "tagging/judge.go",
		"by.CodesFor(rec.Dims)", "ch.CodesFor(rec.Dims)"),
	mutant.One("a package's last day is inclusive", "B8", "closing/cover.go",
		"day < p.End", "day <= p.End"),
	mutant.One("a package lives from its hour on", "B8", "closing/cover.go",
		"p.First <= day &&", "p.Delivered <= c.OccurredAt &&"),
	mutant.One("legacy packages reach no legacy tag", "B9", "catalog/query.go",
		"|| containsTag(offer.CoversLegacy, legacy)", ""),
	mutant.One("free packages after paid ones", "B10", "closing/apply.go",
		"cmp.Compare(boolRank(a.Free), boolRank(b.Free))",
		"cmp.Compare(boolRank(b.Free), boolRank(a.Free))"),
	mutant.One("the earlier delivery goes before the earlier end", "B10", "closing/apply.go",
		"c = cmp.Compare(a.End, b.End)", "c = cmp.Compare(b.End, a.End)"),
	mutant.One("ties between calls go by the greater id", "B10", "billing/callrecord.go",
		"cmp.Compare(a.CallID, b.CallID)", "cmp.Compare(b.CallID, a.CallID)"),
	mutant.One("a call at the instant of suspension is covered", "B12", "closing/account.go",
		"s.From <= at {", "s.From < at {"),
	mutant.One("a call at the instant of resumption is not covered", "B12", "closing/account.go",
		"s.To == 0 || at < s.To", "s.To == 0 || at <= s.To"),
	mutant.One("a switch acts after its instant", "B13", "closing/account.go",
		"if s.At > at {", "if s.At >= at {"),
	mutant.One("refunds on day 8", "B14", "closing/cover.go",
		"day > p.First+billing.Day(", "day > p.First+1+billing.Day("),
	mutant.One("a refund after the call of its instant", "B14", "closing/cover.go",
		"refunds[0].At <= c.OccurredAt", "refunds[0].At < c.OccurredAt"),
	mutant.One("a refund's money acts at its own time", "B14", "closing/cover.go",
		"At: w.moment.At, Kind: \"refund\"", "At: r.At, Kind: \"refund\""),
	mutant.One("a tier's bound is exclusive", "B15", "rating/rating.go",
		"|| (quantity == t.From && bound == Inclusive)",
		"|| (quantity == t.From && bound == Exclusive)"),
	mutant.One("the contract that arrived first wins", "B15", "closing/apply.go",
		"for i := len(a.Contracts) - 1; i >= 0; i-- {", "for i := range a.Contracts {"),
	mutant.One("a contract acts from its from-date", "B15", "closing/apply.go",
		"From: max(ev.From, missed.Day+1)", "From: ev.From"),
	mutant.One("a contract's to is inclusive", "B15", "closing/apply.go",
		"day < c.To)", "day <= c.To)"),
	mutant.One("a discount ends the day before", "B15", "catalog/query.go",
		"day <= d.To {", "day < d.To {"),
	mutant.One("above the last published tier it is free", "B15", "rating/rating.go",
		"return tiers[i].Price, unpublished",
		"if unpublished { return decimal.Zero, true }; return tiers[i].Price, unpublished"),
	mutant.One("a graduated tier begins one unit late", "B16", "rating/rating.go",
		"tiers[i+1].From-position)", "tiers[i+1].From+1-position)"),
	mutant.One("positions begin anew on every bill", "B16", "rating/rating.go",
		"rated[i] = graduated(u, before)", "rated[i] = graduated(u, before*0)"),
	mutant.One("rounding half even", "B17", "closing/close.go",
		"total := sum.Round(places)", "total := sum.RoundBank(places)"),
	mutant.One("rounding half up, also below zero", "B17", "closing/close.go",
		"total := sum.Round(places)",
		"total := sum.Shift(places).Add(decimal.New(5, -1)).Floor().Shift(-places)"),
	mutant.One("late usage at the tier without it", "B19", "closing/lines.go",
		"mc.rated = rating.MonthAt(units, mc.total, ",
		"mc.rated = rating.MonthAt(units, mc.total-min(1, int64(len(mc.usage.Units)-mc.before)), "),
	mutant.One("a voided unit does not return to its package", "B27", "closing/void.go",
		"a.Packages[i].Used--", ""),
	mutant.One("a voided unit stays in its month", "B27", "closing/void.go",
		"x.Quantity, removed[i], left = x.Quantity-n, ", "x.Quantity, removed[i], left = x.Quantity, "),
	mutant.One("a voided unit is given back twice", "B27", "closing/void.go",
		"x.Charged = without.Amount", ""),
	mutant.One("units billed before keep their tier", "B19", "closing/lines.go",
		"if diff.IsZero() {", "if true {"),
	mutant.One("late usage is called usage", "B19", "closing/lines.go",
		"if !own {", "if false {"),
	mutant.One("suspension after 23 hours", "B24", "closing/timeline.go",
		"advance(to, suspendAfter billing.Instant) []billing.StatusChange {",
		"advance(to, suspendAfter billing.Instant) []billing.StatusChange {\n"+
			"suspendAfter -= billing.Hour"),
	mutant.One("active only above zero", "B24", "closing/timeline.go",
		"cause := a.settle(at, false)\n\tif !a.Settled.IsNegative() &&",
		"cause := a.settle(at, false)\n\tif a.Settled.IsPositive() &&"),
	mutant.One("a bill before the money of its instant", "B24", "closing/apply.go",
		"if m.At < at || (m.At == at && !m.Bill) {", "if m.At < at {"),
	mutant.One("a missed event acts at its own time", "B25", "closing/apply.go",
		"return max(ev.EffectiveAt, missed.At)", "return ev.EffectiveAt"),
}

// TestMutantsAreOfThisEngine wants each mutant's old text to be there, so that it is noticed at
// once when a change of the engine leaves a mutant behind.
func TestMutantsAreOfThisEngine(t *testing.T) {
	if err := mutant.Fit("..", mutants); err != nil {
		t.Error(err)
	}
}

var world1 = regexp.MustCompile(`world (\d+) `)

// TestMutants breaks the engine in one small way after another, by an overlay of its sources, and
// wants the comparison with the naive biller to fail for every one of them.
func TestMutants(t *testing.T) {
	if !*mutantsFlag {
		t.Skip("takes minutes; run it with -mutants (make mutants)")
	}
	killed := 0
	t.Logf("%-54s %-4s %-22s %s", "mistake", "rule", "file", "noticed")
	for _, m := range mutants {
		started := time.Now()
		output, failed := runMutant(t, m)
		noticed := "NOT NOTICED"
		if found := world1.FindStringSubmatch(output); failed && found != nil {
			noticed, killed = "in world "+found[1], killed+1
		} else if failed {
			t.Errorf("%s: does not build:\n%s", m.Mistake, output)
		} else {
			t.Errorf("%s: %d worlds say nothing of it", m.Mistake, *worlds)
		}
		t.Logf("%-54s %-4s %-22s %s, %.0f s", m.Mistake, m.Rule, m.Edits[0].File, noticed,
			time.Since(started).Seconds())
	}
	t.Logf("%d of %d mutants noticed", killed, len(mutants))
}

// runMutant runs the comparison against a mutant; failed tells that something went wrong.
func runMutant(t *testing.T, m mutant.Mutant) (output string, failed bool) {
	t.Helper()
	overlay, err := mutant.Overlay(t.TempDir(), "..", m.Edits)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", "test", "-overlay", overlay, "-count=1", "-vet=off",
		"-run", "^TestEngineIsNaive$", ".")
	bytes, err := cmd.CombinedOutput()
	return string(bytes), err != nil
}
