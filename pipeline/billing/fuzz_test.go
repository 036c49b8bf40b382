package billing_test

import (
	"testing"
	"time"

	"tollstream/pipeline/billing"
)

// FuzzInstant: what is read is a whole number of microseconds, and its text reads back as the same.
func FuzzInstant(f *testing.F) {
	for _, seed := range []string{"2023-01-05T08:00:00+08:00", "2023-01-05T00:00:00.123456789Z",
		"1969-12-31T23:59:59.9999999Z", "0000-01-01T00:00:00-23:59", "9999-12-31T23:59:59-12:00",
		"2023-02-29T00:00:00Z", "2023-01-05T24:00:00Z", "2023-01-05 08:00:00Z", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		at, err := billing.ParseInstant(s)
		if err != nil || at.Time().Year() > 9999 || at.Time().Year() < 0 {
			return // a zone can push a time out of the years that the text has digits for
		}
		if back, err := billing.ParseInstant(at.String()); err != nil || back != at {
			t.Errorf("%q is %d, its text %q reads as %d, %v", s, at, at, back, err)
		}
	})
}

// FuzzPeriod: a period's text is the one that was read, and every one of its days lies in it.
func FuzzPeriod(f *testing.F) {
	for _, seed := range []string{"2023-01-05", "2023-01", "2024-02-29", "2023-02-29", "0000-01",
		"9999-12", "2023-1", "2023-13", "-001-01", "2023-01-"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if d, err := billing.ParseDay(s); err == nil && d.String() != s {
			t.Errorf("day %q is written %q", s, d)
		}
		p, err := billing.ParsePeriod(s)
		if err != nil {
			return
		}
		if p.String() != s || p.First >= p.End || !p.Has(p.First) || p.Has(p.End) {
			t.Errorf("%q is %+v, written %q", s, p, p)
		}
		if p != billing.PeriodOf(p.Cycle, p.End-1) {
			t.Errorf("the last day of %q lies in %q", s, billing.PeriodOf(p.Cycle, p.End-1))
		}
		if p.First.Start(time.UTC) >= p.End.Start(time.UTC) {
			t.Errorf("%q ends before it begins", s)
		}
	})
}
