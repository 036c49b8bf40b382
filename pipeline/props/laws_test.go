package props

import (
	"bytes"
	"cmp"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"tollstream/pipeline/batch"
	"tollstream/pipeline/billing"
	"tollstream/pipeline/canonical"
	"tollstream/pipeline/catalog"
	"tollstream/pipeline/closing"
)

// lawWorlds is enough for each law to see every kind of trouble a few times.
const lawWorlds = 300

// bytesOf runs the engine and gives its bills and statuses as the bytes that it would publish, so
// that digests and explanations are compared too.
func bytesOf(
	cat *catalog.Catalog, records []batch.Record, until billing.Instant,
) (bills, statuses []string) {
	out, err := batch.Run(cat, records, until, nil)
	if err != nil {
		return []string{err.Error()}, nil
	}
	for _, b := range out.Bills {
		bills = append(bills, string(canonical.Bill(b, cat.Settings.Zone)))
	}
	for i := range out.Status {
		statuses = append(statuses, string(canonical.Status(&out.Status[i], cat.Settings.Zone)))
	}
	return bills, statuses
}

// change makes an input out of another that has to give the same bills.
type change = func(r *rand.Rand, records []batch.Record, stop billing.Instant) []batch.Record

// law runs one change over many worlds: what came out before and after has to be equal to the
// byte. The change gets records in arrival order and when the world stops.
func law(t *testing.T, change change) {
	t.Helper()
	cat := mustCatalog(t)
	eachWorld(t, lawWorlds, func(seed uint64) string {
		w := NewWorld(cat, seed)
		broken := func(w World) string {
			records := w.Records()
			bills, statuses := bytesOf(cat, records, w.Until)
			changed := change(rand.New(rand.NewPCG(seed, 7)), w.Records(), w.Until)
			bills2, statuses2 := bytesOf(cat, changed, w.Until)
			return Difference(append(bills, statuses...), append(bills2, statuses2...))
		}
		if broken(w) == "" {
			return ""
		}
		w = Shrink(w, func(w World) bool { return broken(w) != "" })
		return broken(w) + "\n" + Story(cat, w)
	})
}

// inOrder sorts records by arrival; offsets become their places, which keep that order.
func inOrder(records []batch.Record) []batch.Record {
	slices.SortStableFunc(records, func(a, b batch.Record) int {
		return a.Arrival.Compare(b.Arrival)
	})
	return records
}

// TestCopiesChangeNothing: a well-formed record delivered again later leaves bills and statuses as
// they are (B4, event_id). A record that was refused because its time lay too far ahead is left
// out: later it is a good record.
func TestCopiesChangeNothing(t *testing.T) {
	law(t, func(r *rand.Rand, records []batch.Record, _ billing.Instant) []batch.Record {
		var more []batch.Record
		for i, rec := range records {
			if r.IntN(3) > 0 || !decodes(rec) {
				continue
			}
			again := rec
			again.Arrival.Offset = int64(len(records) + i)
			again.Arrival.Appended += billing.Instant(r.IntN(50)) * billing.Hour
			more = append(more, again)
		}
		return inOrder(append(records, more...))
	})
}

// decodes tells whether a record's time is not ahead of its arrival beyond the tolerance.
func decodes(rec batch.Record) bool {
	for _, field := range []string{"occurred_at", "effective_at"} {
		text := textOf(string(rec.Value), field)
		if text == "" {
			continue
		}
		at, err := billing.ParseInstant(text)
		return err == nil && at <= rec.Arrival.Appended+24*billing.Hour
	}
	return false
}

// TestTiesBetweenCallsChangeNothing: calls of one arrival instant may be read in any order, as long
// as they are different calls or agree in every billing field.
func TestTiesBetweenCallsChangeNothing(t *testing.T) {
	law(t, func(r *rand.Rand, records []batch.Record, _ billing.Instant) []batch.Record {
		same := func(a, b batch.Record) bool {
			return bytes.Equal(a.Value, b.Value) || callID(a) != callID(b)
		}
		for range 4 * len(records) {
			i := r.IntN(len(records))
			j := i + 1
			if j < len(records) && records[i].Kind == batch.CallRecord &&
				records[j].Kind == batch.CallRecord && same(records[i], records[j]) &&
				records[i].Arrival.Appended == records[j].Arrival.Appended {
				a, b := &records[i], &records[j]
				a.Value, b.Value = b.Value, a.Value
			}
		}
		return records
	})
}

func callID(r batch.Record) string { return textOf(string(r.Value), "call_id") }

// TestPartitionsChangeNothing: the call topic may have any number of partitions, keyed by account.
// Only copies of one call at one instant are told apart by partition (B4), so those stay away.
func TestPartitionsChangeNothing(t *testing.T) {
	law(t, func(r *rand.Rand, records []batch.Record, _ billing.Instant) []batch.Record {
		n := 2 + r.IntN(6)
		at := map[string]bool{}
		for i := range records {
			key := fmt.Sprint(callID(records[i]), records[i].Arrival.Appended)
			if records[i].Kind == batch.CallRecord && at[key] {
				return records
			}
			at[key] = records[i].Kind == batch.CallRecord
		}
		for i := range records {
			if rec := &records[i]; rec.Kind == batch.CallRecord {
				account := textOf(string(rec.Value), "account_id")
				rec.Arrival.Partition = int32(int(account[0]+account[3])) % int32(n)
			}
		}
		return inOrder(records)
	})
}

// TestTopicReadFirstChangesNothing: between two closings all calls may be read before all events,
// or after them; what a closing bills depends only on what lies below its barriers.
func TestTopicReadFirstChangesNothing(t *testing.T) {
	cat := mustCatalog(t)
	for _, first := range []batch.Kind{batch.EventRecord, batch.CallRecord} {
		law(t, func(_ *rand.Rand, records []batch.Record, stop billing.Instant) []batch.Record {
			last := closing.LastMomentBy(cat, stop).At
			n := 0
			for n < len(records) && records[n].Arrival.Appended < last {
				n++
			}
			slices.SortStableFunc(records[:n], func(a, b batch.Record) int {
				return cmp.Or(cmp.Compare(window(cat, a), window(cat, b)),
					cmp.Compare(a.Kind^first, b.Kind^first))
			})
			return records
		})
	}
}

// window is the closing that a record lies below.
func window(cat *catalog.Catalog, r batch.Record) billing.Instant {
	return closing.LastMomentBy(cat, r.Arrival.Appended).At
}

// TestTheSameAgain: the same input gives the same bytes; nothing depends on the order of a map.
func TestTheSameAgain(t *testing.T) {
	law(t, func(_ *rand.Rand, records []batch.Record, _ billing.Instant) []batch.Record {
		return records
	})
}

// TestBillsNeverChange: the bills up to a moment, and the statuses before its last closing, are the
// same with and without everything that comes later; so running in steps is running at once. Only
// an account that opens later can get statuses of before, because its events waited (B6).
func TestBillsNeverChange(t *testing.T) {
	cat := mustCatalog(t)
	eachWorld(t, lawWorlds, func(seed uint64) string {
		w := NewWorld(cat, seed)
		records := w.Records()
		bills, statuses := bytesOf(cat, records, w.Until)
		r := rand.New(rand.NewPCG(seed, 8))
		for range 3 {
			last := records[len(records)-1].Arrival.Appended
			span := max(1, int(min(w.Until, last)-records[0].Arrival.Appended))
			stop := records[0].Arrival.Appended + billing.Instant(r.IntN(span))
			closed := closing.LastMomentBy(cat, stop).At
			if r.IntN(2) == 0 {
				stop = closed
			}
			opened := map[string]bool{}
			for _, e := range w.entries {
				if e.text("type") == "account.opened" && e.arrives < closed {
					opened[e.text("account_id")] = true
				}
			}
			var known []batch.Record
			for _, rec := range records {
				if rec.Arrival.Appended <= stop {
					known = append(known, rec)
				}
			}
			early, earlyStatuses := bytesOf(cat, known, stop)
			fixed := until(statuses, closed, opened)
			if len(early) > len(bills) {
				return "more bills than later:\n" + Story(cat, w)
			}
			text := Difference(append(early, until(earlyStatuses, closed, opened)...),
				append(slices.Clone(bills[:len(early)]), fixed...))
			if text != "" {
				w.Until = stop
				return "up to " + stop.In(cat.Settings.Zone) + " it was " + text + "\n" + Story(cat, w)
			}
		}
		return ""
	})
}

// until keeps the statuses of before an instant, which closings have fixed, of open accounts.
func until(statuses []string, at billing.Instant, opened map[string]bool) []string {
	var kept []string
	for _, s := range statuses {
		when, err := billing.ParseInstant(textOf(s, "effective_at"))
		if err == nil && when < at && opened[textOf(s, "account_id")] {
			kept = append(kept, s)
		}
	}
	return kept
}

// textOf finds a string field in JSON text, "" where there is none.
func textOf(json, field string) string {
	_, rest, _ := strings.Cut(json, `"`+field+`":"`)
	text, _, _ := strings.Cut(rest, `"`)
	return text
}

// address is what %+v prints of a pointer.
var address = regexp.MustCompile(`0x[0-9a-f]+`)

// TestClosingTwiceChangesNothing: a closing that was done finds nothing to do.
func TestClosingTwiceChangesNothing(t *testing.T) {
	cat := mustCatalog(t)
	eachWorld(t, lawWorlds, func(seed uint64) string {
		records := NewWorld(cat, seed).Records()
		once, twice := batch.New(cat), batch.New(cat)
		last := closing.LastMomentBy(cat, records[len(records)-1].Arrival.Appended)
		n := 0
		m := closing.LastMomentBy(cat, records[0].Arrival.Appended)
		for m.Day <= last.Day {
			m = closing.MomentOf(cat, m.Day+1)
			for n < len(records) && records[n].Arrival.Appended < m.At {
				once.Add(&records[n])
				twice.Add(&records[n])
				n++
			}
			for i, b := range []*batch.Biller{once, twice, twice} {
				if err := b.Close(m); err != nil {
					return fmt.Sprintf("closing %s (%d): %v", m.Day, i, err)
				}
			}
		}
		// A biller does not show what it holds, but prints it: how many bills, and every status,
		// ledger entry and refusal.
		a := address.ReplaceAllString(fmt.Sprintf("%+v", once), "pointer")
		b := address.ReplaceAllString(fmt.Sprintf("%+v", twice), "pointer")
		return Difference(strings.Split(a, " "), strings.Split(b, " "))
	})
}
