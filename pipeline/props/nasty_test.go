package props

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"tollstream/pipeline/batch"
	"tollstream/pipeline/billing"
)

// TestWorldsAreNasty counts what comes up in the worlds. A law that holds because nothing happens
// says nothing, so what is listed here has to happen.
func TestWorldsAreNasty(t *testing.T) {
	cat := mustCatalog(t)
	var mu sync.Mutex
	seen := map[string]int{}
	eachWorld(t, 2000, func(seed uint64) string {
		w := NewWorld(cat, seed)
		out, err := batch.Run(cat, w.Records(), w.Until, nil)
		if err != nil {
			return err.Error()
		}
		mu.Lock()
		defer mu.Unlock()
		count(seen, out)
		return ""
	})
	wanted := []string{
		"line usage", "line tier_adjustment", "line late_usage", "line covered", "line uncovered",
		"line rounding", "line voided",
		"adjustment below 0", "adjustment above 0", "total below 0", "total 0",
		"several prices", "half a fen", "flag contract_price_missing", "flag package_off_list",
		"status active", "status in_arrears", "status suspended", "cycle daily", "cycle monthly",
		"sub-account", "conflict", "ledger refund", "late by months",
	}
	for _, reason := range billing.Reasons() {
		switch reason {
		case billing.NotJSON, billing.ConfluentFramed, billing.NotAnObject, billing.DuplicateKey,
			billing.FieldType, billing.FieldTooLong, billing.RecordTooLarge,
			billing.UnknownEventType, billing.TiersRefused:
			// Those are of decode, which has tests of its own; the last is never given yet.
		default:
			wanted = append(wanted, "reason "+string(reason))
		}
	}
	var rare []string
	for _, what := range wanted {
		if seen[what] < 3 {
			rare = append(rare, fmt.Sprintf("%s: %d", what, seen[what]))
		}
	}
	t.Logf("seen: %v", seen)
	if len(rare) > 0 {
		t.Errorf("hardly happens in 2000 worlds:\n%s", strings.Join(rare, "\n"))
	}
}

func count(seen map[string]int, out *batch.Output) {
	for _, b := range out.Bills {
		seen["cycle "+string(b.Period.Cycle)]++
		seen["sub-account"] += len(b.SubAccounts)
		exact := b.Total
		for _, l := range b.Lines {
			seen["line "+string(l.Kind)]++
			for _, f := range l.Flags {
				seen["flag "+f]++
			}
			switch {
			case l.Kind == billing.RoundingLine:
				exact = exact.Sub(l.Amount)
			case l.Kind == billing.TierAdjustmentLine && l.Amount.IsNegative():
				seen["adjustment below 0"]++
			case l.Kind == billing.TierAdjustmentLine:
				seen["adjustment above 0"]++
			case l.UnitPrice == nil:
				seen["several prices"]++
			case l.Kind == billing.LateUsageLine && l.Period[:7] < b.Period.First.String()[:7]:
				seen["late by months"]++
			}
		}
		if text := exact.StringFixed(3); exact.String() == text && text[len(text)-1] == '5' {
			seen["half a fen"]++
		}
		if b.Total.IsNegative() {
			seen["total below 0"]++
		} else if b.Total.IsZero() {
			seen["total 0"]++
		}
	}
	for _, s := range out.Status {
		seen["status "+string(s.Status)]++
	}
	for _, q := range out.Quarantined {
		seen["reason "+string(q.Refusal.Reason)]++
	}
	for _, l := range out.Ledger {
		seen["ledger "+l.Kind]++
	}
	seen["conflict"] += int(out.Conflicts)
}
