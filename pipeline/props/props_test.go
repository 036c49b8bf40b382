// Package props proves bills by another road: over random worlds the engine has to say what the
// naive biller says (pipeline/naive), and changes of the input that must not matter must not
// matter. A world that fails is shrunk and printed as a story in the words of pipeline/stories.
package props

import (
	"flag"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/shopspring/decimal"

	"tollstream/pipeline/batch"
	"tollstream/pipeline/billing"
	"tollstream/pipeline/canonical"
	"tollstream/pipeline/catalog"
	"tollstream/pipeline/naive"
	"tollstream/schemas"
)

var (
	worlds = flag.Int("worlds", 3000, "how many random worlds the engine is compared in")
	first  = flag.Uint64("seed", 1, "the first world; a failure names its own")
)

// testCatalog is the FaceID catalogue with tiers that few calls reach.
func testCatalog(t testing.TB) *catalog.Catalog {
	t.Helper()
	text := lowTiers(string(schemas.FaceIDCatalog()))
	if text == string(schemas.FaceIDCatalog()) {
		t.Fatal("the tiers of the catalogue are written in another way; see lowTiers")
	}
	cat, err := catalog.Parse("catalog.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return cat
}

// engine runs the engine over a world and tells what can be compared with the naive biller.
func engine(
	cat *catalog.Catalog, records []batch.Record, until billing.Instant, merge bool,
) ([]string, error) {
	out, err := batch.Run(cat, records, until, nil)
	if err != nil {
		return nil, err
	}
	var text []string
	for _, b := range out.Bills {
		text = append(text, billHead(b.BillID, b.ClosedAt.In(cat.Settings.Zone),
			b.Total.StringFixed(2), canonical.Money(b.BalanceBefore),
			canonical.Money(b.BalanceAfter)))
		lines := make([]naive.Line, len(b.Lines))
		for i, l := range b.Lines {
			lines[i] = naive.Line{Kind: l.Kind, Tag: catalog.TagID(l.Tag), Period: l.Period,
				PackageID: l.PackageID, Quantity: l.Quantity, Amount: l.Amount}
		}
		text = append(text, lineTexts(lines, merge)...)
		var split []string
		for _, s := range b.SubAccounts {
			split = append(split, callerText(s.AccountID, string(s.Kind), s.Tag, s.Quantity))
		}
		slices.Sort(split)
		text = append(text, split...)
	}
	for _, s := range out.Status {
		text = append(text, fmt.Sprintf("status %s %s %s balance %s",
			s.EffectiveAt.In(cat.Settings.Zone), s.AccountID, s.Status, s.Balance.StringFixed(2)))
	}
	for _, q := range out.Quarantined {
		text = append(text, fmt.Sprintf("quarantine %d %s", q.Arrival.Offset, q.Refusal.Reason))
	}
	if b := out.Books[callTopic+"/0"]; b != nil {
		text = append(text, booksText(b.Charged, b.Free))
	}
	return text, nil
}

func billHead(id, closed, total, before, after string) string {
	return fmt.Sprintf("bill %s closed %s total %s balance %s -> %s",
		id, closed, total, before, after)
}

// lineTexts tells the lines of a bill. Where calls were taken back, the rules do not say how the
// change of a month is split between what was charged for them and the tier of the others, nor
// whether voided calls of one tag stand on one line; merge compares such a change as one amount.
func lineTexts(lines []naive.Line, merge bool) []string {
	var text []string
	changes, counts := map[string]decimal.Decimal{}, map[string]int64{}
	for _, l := range lines {
		key := fmt.Sprintf("  %s %s %s %s", l.Kind, l.Tag, l.Period, l.PackageID)
		if !merge || l.Kind == billing.RoundingLine || l.PackageID != "" {
			text = append(text, fmt.Sprintf("%s %d x = %s", key, l.Quantity, l.Amount))
			continue
		}
		month := fmt.Sprintf("  %s %s", l.Tag, l.Period[:len("2006-01")])
		changes[month] = changes[month].Add(l.Amount)
		counts[key] += l.Quantity
	}
	for key, n := range counts {
		if n != 0 {
			text = append(text, fmt.Sprintf("%s %d x", key, n))
		}
	}
	for month, amount := range changes {
		if !amount.IsZero() {
			text = append(text, fmt.Sprintf("%s changes by %s", month, amount))
		}
	}
	slices.Sort(text)
	return text
}

func callerText(account, kind, tag string, quantity int64) string {
	return fmt.Sprintf("  of these %s called %s %s %d", account, kind, tag, quantity)
}

// booksText leaves duplicates and waiting copies out: from which closing on a later copy of a taken
// call is counted as its duplicate moves no bill, and no rule says it.
func booksText(charged, free int64) string {
	return fmt.Sprintf("calls: %d charged, %d free", charged, free)
}

// definition tells the same of the naive biller. Where several reasons for a refusal hold, said is
// what the engine said, and any of them is right.
func definition(
	cat *catalog.Catalog, records []batch.Record, until billing.Instant, out *naive.Result,
	said []string,
) []string {
	var text []string
	for _, b := range out.Bills {
		text = append(text, billHead(b.ID, b.ClosedAt.In(cat.Settings.Zone), b.Total.StringFixed(2),
			b.Before.StringFixed(2), b.After.StringFixed(2)))
		text = append(text, lineTexts(b.Lines, out.Reversals > 0)...)
		var split []string
		for c, n := range b.Callers {
			split = append(split, callerText(c.AccountID, string(c.Kind), string(c.Tag), n))
		}
		slices.Sort(split)
		text = append(text, split...)
	}
	for _, s := range out.Status {
		text = append(text, fmt.Sprintf("status %s %s %s balance %s", s.At.In(cat.Settings.Zone),
			s.AccountID, s.Status, s.Balance.StringFixed(2)))
	}
	calls := false
	for _, r := range records {
		calls = calls || r.Kind == batch.CallRecord && r.Arrival.Appended <= until
		reasons := out.Quarantined[r.Arrival]
		if held := staleCopy(r.Arrival, out.Fates[r.Arrival], said); held != "" {
			text = append(text, held)
			continue
		}
		for i, reason := range reasons {
			line := fmt.Sprintf("quarantine %d %s", r.Arrival.Offset, reason)
			if slices.Contains(said, line) || i == len(reasons)-1 {
				text = append(text, line)
				break
			}
		}
	}
	if calls {
		n := map[naive.Fate]int64{}
		for _, f := range out.Fates {
			n[f]++
		}
		text = append(text, booksText(n[naive.Charged], n[naive.Free]))
	}
	return text
}

// staleCopy lets the engine's word stand about a copy that is not the one that counts: a copy of a
// taken call whose own day is open is looked at when that day closes. If its account was closed in
// between it goes to quarantine as account_closed, not to the duplicates. No bill depends on it,
// and no rule says which is right.
func staleCopy(at billing.Arrival, fate naive.Fate, said []string) string {
	line := fmt.Sprintf("quarantine %d %s", at.Offset, billing.AccountIsClosed)
	if fate == naive.Duplicate && slices.Contains(said, line) {
		return line
	}
	return ""
}

// difference is the first line in which two texts differ, "" if they do not.
func difference(engine, naive []string) string {
	for i := range max(len(engine), len(naive)) {
		e, n := "(nothing)", "(nothing)"
		if i < len(engine) {
			e = engine[i]
		}
		if i < len(naive) {
			n = naive[i]
		}
		if e != n {
			return fmt.Sprintf("engine: %s\nnaive:  %s", e, n)
		}
	}
	return ""
}

// disagreement tells how engine and naive biller differ over a world, "" where they agree.
func disagreement(cat *catalog.Catalog, w world) (diff string) {
	defer func() {
		if r := recover(); r != nil {
			diff = fmt.Sprintf("panic: %v", r)
		}
	}()
	records := w.records()
	out, err := naive.Run(cat, naiveRecords(records), w.until)
	if err != nil {
		return "naive: " + err.Error()
	}
	said, err := engine(cat, records, w.until, out.Reversals > 0)
	if err != nil {
		return "engine: " + err.Error()
	}
	return difference(said, definition(cat, records, w.until, out, said))
}

// eachWorld runs a check over n worlds on all cores and reports the first failure.
func eachWorld(t *testing.T, n int, check func(seed uint64) string) {
	t.Helper()
	var next atomic.Int64
	var failed atomic.Bool
	var wait sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wait.Go(func() {
			for i := next.Add(1) - 1; i < int64(n) && !failed.Load(); i = next.Add(1) - 1 {
				seed := *first + uint64(i)
				if text := check(seed); text != "" && !failed.Swap(true) {
					t.Errorf("world %d (-seed=%d -worlds=1):\n%s", seed, seed, text)
				}
			}
		})
	}
	wait.Wait()
}

// TestEngineIsNaive: for every input the bill is the one that walking the calls one by one gives.
func TestEngineIsNaive(t *testing.T) {
	cat := testCatalog(t)
	eachWorld(t, *worlds, func(seed uint64) string {
		w := newWorld(cat, seed)
		if disagreement(cat, w) == "" {
			return ""
		}
		w = shrink(w, func(w world) bool { return disagreement(cat, w) != "" })
		return "engine and naive biller differ\n" + disagreement(cat, w) + "\n" +
			strings.TrimSpace(story(cat, w)) + "\n"
	})
}
