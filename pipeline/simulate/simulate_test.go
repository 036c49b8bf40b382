package simulate

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/catalog"
	"tollstream/pipeline/remake/remaketest"
	"tollstream/schemas"
)

var at = remaketest.At

// parse is the FaceID catalogue with some texts changed, each given as what it was and what it is.
func parse(t *testing.T, changes ...string) *catalog.Catalog {
	t.Helper()
	file := string(schemas.FaceIDCatalog())
	for i := 0; i < len(changes); i += 2 {
		if !strings.Contains(file, changes[i]) {
			t.Fatalf("the catalogue has no %q", changes[i])
		}
		file = strings.ReplaceAll(file, changes[i], changes[i+1])
	}
	cat, err := catalog.Parse("changed.yaml", []byte(file))
	if err != nil {
		t.Fatal(err)
	}
	return cat
}

// Changes of the catalogue.
const (
	dailyPrice = "idcard:\n      - {price: \"0.30\", source: P-day}"
	codes      = `IdCardVerification:
    field: Result
    charged: ["0", "-1"]
    known_free:
      codes: ["-2", `
	actions      = "actions: [IdCardVerification]"
	monthlyPrice = `idcard:
      - mode: volume
        tiers: {0: "0.30", 1000: "0.30", 10000: "0.28", 100000: "0.26", 200000: unpublished}
        source: P-new`
	reach = `  - tags: [idcard]
    prices:`
)

// world has records of 31 January and February, of a daily account that has 0.80 CNY and a monthly
// one with a package for two calls.
func world() *remaketest.Memory {
	const known, unknown = "IdCardVerification", "VideoVerification"
	m := &remaketest.Memory{}
	m.Event("month", "account.opened", at(0, 0), `"opened_at":"2022-06-01T00:00:00+08:00"`)
	m.Open("day", at(0, 0))
	m.Event("day", "balance.topped_up", at(0, 1), `"amount":"0.80"`)
	m.Event("month", "package.delivered", at(1, 0), `"package_id":"p","tag":"idcard",`+
		`"kind":"free","quota":2,"price":"0","delivered_at":"2023-02-01T00:00:00+08:00"`)
	n := 0
	call := func(account, action, code string, day int) {
		n++
		m.Call(fmt.Sprint(n), account, action, code, at(day, 12), at(day, 13))
	}
	call("day", known, "0", 0)
	call("day", unknown, "0", 0) // before every range of this test, in quarantine
	call("day", known, "0", 1)
	call("day", known, "-2", 1) // free
	call("month", known, "0", 1)
	call("month", known, "0", 2)
	call("day", unknown, "0", 2)
	call("month", known, "0", 10)
	call("month", known, "-2", 20)
	return m
}

// simulated gives what differs, a line for each bill and each of its lines.
func simulated(
	t *testing.T, m *remaketest.Memory, cat *catalog.Catalog, from, to int,
) ([]string, Totals) {
	t.Helper()
	s, err := New(t.Context(), m, cat, billing.DateOf(2023, 2, from), billing.DateOf(2023, 2, to))
	if err != nil {
		t.Fatal(err)
	}
	accounts, err := s.Accounts(t.Context(), []string{"day", "month"})
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	var totals Totals
	line := func(name string, c *Change) {
		out = append(out, fmt.Sprintf("%s %d:%s %d:%s", name, c.Old.Quantity, c.Old.Amount,
			c.New.Quantity, c.New.Amount))
	}
	for i := range accounts {
		totals.Add(&accounts[i])
		a := accounts[i].Differing()
		for j := range a.Bills {
			line(a.Bills[j].BillID, &a.Bills[j].Change)
			for k := range a.Bills[j].Lines {
				l := &a.Bills[j].Lines[k]
				line(strings.TrimSpace(fmt.Sprintf("- %s %s", l.Kind, l.Tag)), &l.Change)
			}
		}
		if a.OldStatus != a.NewStatus {
			out = append(out, fmt.Sprintf("%s %s %s", a.AccountID, a.OldStatus, a.NewStatus))
		}
	}
	return out, totals
}

func TestDifferences(t *testing.T) {
	own := parse(t)
	m := world()
	m.CloseDays(own, 0, 28)
	if err := m.Keep(t.Context(), "day", "month"); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name     string
		other    *catalog.Catalog
		from, to int
		want     []string
	}{
		{"the same catalogue", own, 0, 29, nil},
		{"only its name", parse(t, `version: "2026-11-21"`, `version: "x"`), 0, 29, nil},
		{"a price", parse(t, dailyPrice, strings.Replace(dailyPrice, "0.30", "0.35", 1)), 1, 29,
			[]string{"day/2023-02-01 1:0.3 1:0.35", "- usage idcard 1:0.3 1:0.35"}},
		{"a price and the status", parse(t, dailyPrice, strings.Replace(dailyPrice, "0.30", "0.51", 1)),
			1, 2, []string{"day/2023-02-01 1:0.3 1:0.51", "- usage idcard 1:0.3 1:0.51",
				"day active in_arrears"}}, // 0.80 - 0.30 - 0.51
		{"the days before", parse(t, dailyPrice, strings.Replace(dailyPrice, "0.30", "0.35", 1)), 2, 29,
			nil},
		{"rounding", parse(t, dailyPrice, strings.Replace(dailyPrice, "0.30", "0.305", 1)), 1, 29,
			[]string{"day/2023-02-01 1:0.3 1:0.31", "- usage idcard 1:0.3 1:0.305",
				"- rounding 0:0 0:0.005"}},
		{"a code that is charged", parse(t, codes, strings.NewReplacer(`"-1"]`, `"-1", "-2"]`,
			`["-2", `, "[").Replace(codes)),
			1, 29, []string{"day/2023-02-01 1:0.3 2:0.6", "- usage idcard 1:0.3 2:0.6",
				"month/2023-02 3:0.3 4:0.6", "- usage idcard 1:0.3 2:0.6", "day active suspended"}},
		{"a tag for what was in quarantine", parse(t, actions,
			strings.Replace(actions, "]", ", VideoVerification]", 1)), 1, 29,
			[]string{"day/2023-02-02 0:0 1:0.3", "- usage idcard 0:0 1:0.3", "day active suspended"}},
		{"a price in the middle of the month", parse(t, monthlyPrice,
			strings.Replace(monthlyPrice, `0: "0.30"`, `0: "0.45"`, 1)), 15, 29,
			[]string{"month/2023-02 3:0.3 3:0.45", "- usage idcard 1:0.3 1:0.45"}},
		{"no reach", parse(t, reach, strings.Replace(reach, "prices", "covers: {prepaid: [bankcard]}\n"+
			"    prices", 1)), 1, 29, []string{"month/2023-02 3:0.3 3:0.9", "- usage idcard 1:0.3 3:0.9",
			"- covered idcard 2:0 0:0"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, _ := simulated(t, m, test.other, test.from, test.to)
			slices.Sort(got)
			slices.Sort(test.want)
			if !slices.Equal(got, test.want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(test.want, "\n"))
			}
		})
	}
}

// TestAcrossCatalogues has the closings from 1 February on made by a catalogue that has a tag for a
// call of 31 January, which those closings still look at: it is late. Another catalogue than theirs
// judges the same calls, and no older ones.
func TestAcrossCatalogues(t *testing.T) {
	tagged := []string{actions, strings.Replace(actions, "]", ", VideoVerification]", 1)}
	before, next := parse(t), parse(t, tagged...)
	m := world()
	m.CloseDays(before, 0, 0)
	m.CloseDays(next, 1, 28)
	if err := m.Keep(t.Context(), "day", "month"); err != nil {
		t.Fatal(err)
	}
	if got, totals := simulated(t, m, next, 1, 29); got != nil || totals.Old.Quantity != 6 {
		t.Errorf("their own catalogue: %v, %+v", got, totals)
	}
	dearer := parse(t, append(tagged, dailyPrice, strings.Replace(dailyPrice, "0.30", "0.35", 1))...)
	want := []string{"day/2023-02-01 2:0.6 2:0.7", "- usage idcard 1:0.3 1:0.35",
		"- late_usage idcard 1:0.3 1:0.35", "day/2023-02-02 1:0.3 1:0.35",
		"- usage idcard 1:0.3 1:0.35"}
	if got, _ := simulated(t, m, dearer, 1, 29); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	without, _ := simulated(t, m, before, 1, 29)
	want = []string{"day/2023-02-01 2:0.6 1:0.3", "- late_usage idcard 1:0.3 0:0",
		"day/2023-02-02 1:0.3 0:0", "- usage idcard 1:0.3 0:0", "day suspended active"}
	if !slices.Equal(without, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(without, "\n"), strings.Join(want, "\n"))
	}
}

// TestRefusals: what cannot be compared is refused, with what, where and what to do.
func TestRefusals(t *testing.T) {
	own := parse(t)
	closed := world()
	closed.CloseDays(own, 0, 3)
	for _, test := range []struct {
		name     string
		m        *remaketest.Memory
		other    *catalog.Catalog
		from, to int
		says     []string
	}{
		{"no closing", world(), own, 1, 2, []string{"no day is closed yet"}},
		{"before the first", closed, own, -1, 2, []string{"begins on 2023-01-30", "is 2023-01-31"}},
		{"after the last", closed, own, 1, 5, []string{"ends before 2023-02-05",
			"is 2023-02-03", "before 2023-02-04 at the latest"}},
		{"zone", closed, parse(t, "zone: Asia/Shanghai", "zone: Asia/Tokyo"), 1, 2,
			[]string{"closing of 2023-02-01", "settings.zone Asia/Shanghai", "has Asia/Tokyo",
				"set it to"}},
		{"close clock", closed, parse(t, `close_clock: "08:00"`, `close_clock: "09:30"`), 1, 2,
			[]string{"settings.close_clock 08:00", "has 09:30"}},
		{"currency", closed, parse(t, "currency: CNY", "currency: EUR"), 1, 2, []string{"has EUR"}},
		{"product", closed, parse(t, "product: faceid", "product: other"), 1, 2, []string{"has other"}},
		{"dimension", closed, parse(t, "  edition: {", "  region: {kind: text}\n  edition: {"), 1, 2,
			[]string{"no dimension region", "take it out"}},
		{"cohort", closed, parse(t, "2023-01-04T00:00:00+08:00", "2023-01-05T00:00:00+08:00"), 1, 2,
			[]string{"cohort C (daily)", "has B (monthly)", "put the cohorts back"}},
		{"cycle", closed, parse(t, "C: {opened_from: 2023-01-04T00:00:00+08:00, cycle: daily",
			"C: {opened_from: 2023-01-04T00:00:00+08:00, cycle: monthly"), 1, 2,
			[]string{"cohort C (daily)", "has C (monthly)"}},
	} {
		_, err := New(t.Context(), test.m, test.other, billing.DateOf(2023, 2, test.from),
			billing.DateOf(2023, 2, test.to))
		if err == nil {
			t.Errorf("%s: not refused", test.name)
			continue
		}
		for _, says := range test.says {
			if !strings.Contains(err.Error(), says) {
				t.Errorf("%s: %v, want %q", test.name, err, says)
			}
		}
	}
}
