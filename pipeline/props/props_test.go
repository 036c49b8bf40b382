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

	"tollstream/pipeline/batch"
	"tollstream/pipeline/billing"
	"tollstream/pipeline/catalog"
	"tollstream/pipeline/naive"
)

var (
	worlds = flag.Int("worlds", 3000, "how many random worlds the engine is compared in")
	first  = flag.Uint64("seed", 1, "the first world; a failure names its own")
)

func mustCatalog(t testing.TB) *catalog.Catalog {
	t.Helper()
	cat, err := Catalog()
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
	text := BillTexts(cat, out.Bills, merge)
	for _, s := range out.Status {
		text = append(text, fmt.Sprintf("status %s %s %s balance %s",
			s.EffectiveAt.In(cat.Settings.Zone), s.AccountID, s.Status, s.Balance.StringFixed(2)))
	}
	for _, q := range out.Quarantined {
		text = append(text, fmt.Sprintf("quarantine %d %s", q.Arrival.Offset, q.Refusal.Reason))
	}
	if b := out.Books[CallTopic+"/0"]; b != nil {
		text = append(text, booksText(b.Charged, b.Free))
	}
	return text, nil
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
	text := NaiveBillTexts(cat, out)
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

// disagreement tells how engine and naive biller differ over a world, "" where they agree.
func disagreement(cat *catalog.Catalog, w World) (diff string) {
	defer func() {
		if r := recover(); r != nil {
			diff = fmt.Sprintf("panic: %v", r)
		}
	}()
	records := w.Records()
	out, err := naive.Run(cat, NaiveRecords(records), w.Until)
	if err != nil {
		return "naive: " + err.Error()
	}
	said, err := engine(cat, records, w.Until, out.Reversals > 0)
	if err != nil {
		return "engine: " + err.Error()
	}
	return Difference(said, definition(cat, records, w.Until, out, said))
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
	cat := mustCatalog(t)
	eachWorld(t, *worlds, func(seed uint64) string {
		w := NewWorld(cat, seed)
		if disagreement(cat, w) == "" {
			return ""
		}
		w = Shrink(w, func(w World) bool { return disagreement(cat, w) != "" })
		return "engine and naive biller differ\n" + disagreement(cat, w) + "\n" +
			strings.TrimSpace(Story(cat, w)) + "\n"
	})
}
