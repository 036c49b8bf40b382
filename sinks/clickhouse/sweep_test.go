package clickhouse

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/stored"
)

const openColumns = "account_id, day, tag, charged, free, unknown_code, waiting, state"

func sweep(t testing.TB, s *Store, asOf billing.Instant, openFrom billing.Day) *stored.Sweep {
	t.Helper()
	r, err := s.SweepOpenUsage(t.Context(), asOf, openFrom)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// counted is the oracle: the open usage of copies by a plain walk over them in arrival order.
func counted(copies []stored.Call, taken map[string]bool) []string {
	sorted := slices.Clone(copies)
	slices.SortFunc(sorted, func(a, b stored.Call) int { return a.Arrival.Compare(b.Arrival) })
	winners := map[string]*stored.Call{}
	for i := range sorted {
		c := &sorted[i]
		claims := c.Main != "" && c.NoTag == ""
		w := winners[c.CallID]
		if !taken[c.CallID] && (w == nil || claims && (w.Main == "" || w.NoTag != "")) {
			winners[c.CallID] = c
		}
	}
	type key struct{ account, day, tag string }
	sums := map[key]*[4]int{}
	for _, w := range winners {
		k := key{w.Main, billing.DayOf(w.OccurredAt, shanghai).String(), string(w.Postpaid)}
		if w.Main == "" {
			k.account = w.AccountID
		}
		n := sums[k]
		if n == nil {
			n = &[4]int{}
			sums[k] = n
		}
		switch {
		case w.Main == "" || w.NoTag != "":
			n[3]++
			continue
		case w.Charged:
			n[0]++
		default:
			n[1]++
		}
		if !w.CodeKnown {
			n[2]++
		}
	}
	var out []string
	for k, n := range sums {
		out = append(out, fmt.Sprintf("%s %s %s %d %d %d %d open",
			k.account, k.day, k.tag, n[0], n[1], n[2], n[3]))
	}
	slices.Sort(out)
	return out
}

func usage(t testing.TB, s *Store) []string {
	t.Helper()
	out := rowTexts(t, s, openColumns, "FROM usage_daily WHERE state = 'open'")
	slices.Sort(out)
	return out
}

// sameOpenDays compares what the pages of data quality read of open days with the view of calls, of
// which it is a faster form.
func sameOpenDays(t testing.TB, s *Store) {
	t.Helper()
	const open = ` AND day > (SELECT max(day) FROM settlement_records FINAL WHERE state = 'closed')
		GROUP BY ALL ORDER BY ALL`
	for columns, of := range map[string][2]string{
		"day, sdk_platform, sdk_name, sdk_version": {"client_calls AS c", "sdk_name != ''"},
		"day, channel, result_code, need_charge, charged, code_known": {"doubtful_codes AS c",
			"no_tag = '' AND (NOT code_known OR need_charge != toString(charged))"},
	} {
		have := rowTexts(t, s, columns+", sum(c.calls)",
			"FROM "+of[0]+" WHERE state = 'open' GROUP BY ALL ORDER BY ALL")
		want := rowTexts(t, s, columns+", count()", "FROM calls WHERE "+of[1]+open)
		if !slices.Equal(have, want) || len(have) == 0 {
			t.Errorf("%s has %d rows: %s", of[0], len(have), firstDifference(have, want))
		}
	}
}

func TestSweepCountsEachCallOnce(t *testing.T) {
	s := newStore(t)
	world := randomWorld(t, rand.New(rand.NewPCG(7, 7)), 500)
	write(t, s, batchOf(world...))
	openFrom := billing.DateOf(2026, time.March, 1)
	asOf := at(t, "2026-03-05T10:00:00.000001+08:00")
	want := counted(world, nil)
	r := sweep(t, s, asOf, openFrom)
	if have := usage(t, s); !slices.Equal(have, want) {
		t.Errorf("%s", firstDifference(have, want))
	}
	if r.Copies == 0 || r.Rows == 0 {
		t.Errorf("sweep: %+v", r)
	}
	// Copies that do not count have left the view; each call is there once.
	calls := rowTexts(t, s, "count() - uniqExact(call_id)",
		"FROM calls WHERE main_account != '' AND no_tag = ''")
	if calls[0] != "0" {
		t.Errorf("%s calls are shown twice", calls[0])
	}
	sameOpenDays(t, s)
	merge(t, s)
	write(t, s, batchOf(world[:200]...)) // a redelivery
	sweep(t, s, asOf+billing.Minute, openFrom)
	if have := usage(t, s); !slices.Equal(have, want) {
		t.Errorf("after a merge and a redelivery: %s", firstDifference(have, want))
	}
}

func TestSweepLeavesOutWhatIsTaken(t *testing.T) {
	s := newStore(t)
	world := randomWorld(t, rand.New(rand.NewPCG(8, 8)), 200)
	write(t, s, batchOf(world...))
	first := billing.DateOf(2026, time.March, 1)
	closed := (first + 1).At(8*time.Hour, shanghai)
	taken := map[string]bool{}
	for i := range world {
		c := &world[i]
		if billing.DayOf(c.OccurredAt, shanghai) == first && c.NoTag == "" && !taken[c.CallID] {
			take(t, s, closed, c)
			taken[c.CallID] = true
		}
	}
	asOf := at(t, "2026-03-05T10:00:00+08:00")
	sweep(t, s, asOf, first)
	if have, want := usage(t, s), counted(world, nil); !slices.Equal(have, want) {
		t.Errorf("before the closing is complete: %s", firstDifference(have, want))
	}
	closeDay(t, s, first)
	// The old sweep still counts the closed day; the view leaves that day to the closing.
	if have := rowTexts(t, s, "count()",
		"FROM usage_daily WHERE state = 'open' AND day = '2026-03-01'"); have[0] != "0" {
		t.Errorf("an old sweep shows %s rows of a closed day", have[0])
	}
	sweep(t, s, asOf+billing.Minute, first+1)
	if have, want := usage(t, s), counted(world, taken); !slices.Equal(have, want) {
		t.Errorf("after it: %s", firstDifference(have, want))
	}
	sameOpenDays(t, s)
	billed := rowTexts(t, s, "uniqExact(call_id)", "FROM calls_billed WHERE outcome = 'postpaid'")
	if want := fmt.Sprint(len(taken)); billed[0] != want {
		t.Errorf("calls_billed shows %s taken calls, want %s", billed[0], want)
	}
}

// A copy that loses against another key is listed with the winner's place, and as a conflict only
// where they differ in a billing field.
func TestSweepListsCopiesThatDoNotCount(t *testing.T) {
	s := newStore(t)
	occurred := at(t, "2026-03-01T10:00:00+08:00")
	untagged := call("c", "acc", occurred, occurred, 1)
	untagged.Dims[0], untagged.NoTag = "unheard_of", "unknown channel"
	winner := call("c", "acc", occurred, occurred+billing.Second, 2)
	other := call("c", "acc", occurred+1, occurred+2*billing.Second, 3)
	sameElsewhere := call("c", "acc", occurred, occurred+3*billing.Second, 4)
	sameElsewhere.Arrival.Topic = "other.calls"
	write(t, s, batchOf(sameElsewhere, other, winner, untagged))
	sweep(t, s, occurred+billing.Hour, billing.DateOf(2026, time.March, 1))
	have := rowTexts(t, s, "topic, offset, conflict, winner_topic, winner_offset",
		"FROM open_duplicates ORDER BY offset")
	want := []string{"faceid.calls 3 true faceid.calls 2", "other.calls 4 false faceid.calls 2"}
	if !slices.Equal(have, want) {
		t.Errorf("have %q, want %q", have, want)
	}
	conflicts := rowTexts(t, s, "offset, state", "FROM call_conflicts")
	if want := []string{"3 open"}; !slices.Equal(conflicts, want) {
		t.Errorf("conflicts %q, want %q", conflicts, want)
	}
	// Once another copy of the call was taken by a complete closing, it is the one that counts.
	take(t, s, closeDay(t, s, billing.DateOf(2026, time.March, 1)), &other)
	sweep(t, s, occurred+2*billing.Hour, billing.DateOf(2026, time.March, 2))
	shown := rowTexts(t, s, "offset", "FROM calls WHERE no_tag = ''")
	if want := []string{"3"}; !slices.Equal(shown, want) {
		t.Errorf("the view shows the copies %q, want %q", shown, want)
	}
	// A copy of another day agrees with it or contradicts it by what it says, not by its place.
	again := call("c", "acc", occurred+1, occurred+27*billing.Hour, 5)
	untrue := call("c", "acc", occurred+1, occurred+28*billing.Hour, 6)
	untrue.ResultCode = "1"
	write(t, s, batchOf(again, untrue))
	sweep(t, s, occurred+29*billing.Hour, billing.DateOf(2026, time.March, 2))
	conflicts = rowTexts(t, s, "offset, winner_offset, state",
		"FROM call_conflicts WHERE offset > 4")
	if want := []string{"6 3 open"}; !slices.Equal(conflicts, want) {
		t.Errorf("conflicts %q, want %q", conflicts, want)
	}
}

func TestSweepKeepsAFew(t *testing.T) {
	s := newStore(t)
	occurred := at(t, "2026-03-01T10:00:00+08:00")
	write(t, s, batchOf(call("c", "acc", occurred, occurred, 1)))
	day := billing.DateOf(2026, time.March, 1)
	for i := range sweepsKept + 3 {
		asOf := occurred + billing.Instant(i)*billing.Minute + billing.Instant(i)
		sweep(t, s, asOf, day)
		sweep(t, s, asOf, day) // the same sweep again does nothing
		have := rowTexts(t, s, "charged, toUnixTimestamp64Micro(as_of)", "FROM usage_daily")
		if !slices.Equal(have, []string{fmt.Sprintf("1 %d", asOf)}) {
			t.Errorf("sweep %d: %q", i, have)
		}
	}
	kept := rowTexts(t, s, "uniqExact(as_of)", "FROM open_usage")
	if kept[0] != fmt.Sprint(sweepsKept) {
		t.Errorf("%s sweeps are kept, want %d", kept[0], sweepsKept)
	}
}
