package billing

import (
	"testing"
	"time"
)

func zone(t *testing.T, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

// A day of the zone begins at 00:00 there: [00:00, next 00:00) (B1).
func TestDayOf(t *testing.T) {
	shanghai, chatham := zone(t, "Asia/Shanghai"), zone(t, "Pacific/Chatham")
	for _, row := range []struct {
		at   string
		zone *time.Location
		want string
	}{
		{"2023-01-04T00:00:00+08:00", shanghai, "2023-01-04"},
		{"2023-01-03T23:59:59.999999+08:00", shanghai, "2023-01-03"},
		{"2023-01-03T16:00:00Z", shanghai, "2023-01-04"},
		{"1969-12-31T15:59:59.999999Z", shanghai, "1969-12-31"},
		{"2024-02-29T23:00:00+08:00", shanghai, "2024-02-29"},
		{"2023-01-03T10:14:59Z", chatham, "2023-01-03"}, // 13:45 ahead of UTC in summer
		{"2023-01-03T10:15:00Z", chatham, "2023-01-04"},
	} {
		at, err := ParseInstant(row.at)
		if err != nil {
			t.Fatal(err)
		}
		day := DayOf(at, row.zone)
		if day.String() != row.want {
			t.Errorf("%s in %s: got %s, want %s", row.at, row.zone, day, row.want)
		}
		if start, end := day.Start(row.zone), (day + 1).Start(row.zone); at < start || at >= end {
			t.Errorf("%s is not in its own day [%s, %s)", row.at, start, end)
		}
	}
}

// A package of 29 February ends before 1 March of the next year (B8).
func TestAddYears(t *testing.T) {
	for from, want := range map[string]string{
		"2021-02-14": "2022-02-14", "2024-02-29": "2025-03-01", "2023-02-28": "2024-02-28",
		"2023-03-01": "2024-03-01",
	} {
		d, err := ParseDay(from)
		if err != nil {
			t.Fatal(err)
		}
		if got := d.AddYears(1).String(); got != want {
			t.Errorf("%s and a year: got %s, want %s", from, got, want)
		}
	}
}

func TestPeriods(t *testing.T) {
	for _, text := range []string{"2023-01-05", "2023-01", "2024-02-29", "2023-12"} {
		p, err := ParsePeriod(text)
		if err != nil || p.String() != text || !p.Has(p.First) || p.Has(p.End) {
			t.Errorf("%s: got %s [%s, %s), %v", text, p, p.First, p.End, err)
		}
	}
	for _, text := range []string{"2023-02-30", "2023-13", "2023", "2023-1-5", ""} {
		if _, err := ParsePeriod(text); err == nil {
			t.Errorf("%q is taken for a period", text)
		}
	}
}

// Times are RFC 3339 with an offset and nothing else; finer digits than a microsecond are cut.
func TestParseInstant(t *testing.T) {
	for text, want := range map[string]string{
		"2023-01-04T00:00:00.123456789+08:00": "2023-01-03T16:00:00.123456Z",
		"2023-01-04T00:00:00Z":                "2023-01-04T00:00:00Z",
		"1969-12-31T23:59:59.9999999Z":        "1969-12-31T23:59:59.999999Z",
	} {
		if at, err := ParseInstant(text); err != nil || at.String() != want {
			t.Errorf("%s: got %s, %v, want %s", text, at, err, want)
		}
	}
	for _, text := range []string{
		"2023-01-04T00:00:00", "2023-01-04 00:00:00Z", "2023-01-04T00:00:00,5Z", "2023-02-30T00:00:00Z",
		"2023-01-04T0:00:00Z", "2023-01-04T00:00:00.1234567890Z", "2023-01-04T00:00:00+24:00",
		"2023-01-04T00:00:00.Z", "2023-01-04T25:00:00Z", "",
	} {
		if at, err := ParseInstant(text); err == nil {
			t.Errorf("%q is taken for %s", text, at)
		}
	}
}

func TestArrivalsAreInATotalOrder(t *testing.T) {
	ordered := []Arrival{
		{Appended: 1, Topic: "b", Partition: 9, Offset: 9},
		{Appended: 2, Topic: "a", Partition: 0, Offset: 7},
		{Appended: 2, Topic: "a", Partition: 1, Offset: 0},
		{Appended: 2, Topic: "a", Partition: 1, Offset: 1},
		{Appended: 2, Topic: "b", Partition: 0, Offset: 0},
	}
	for i := range ordered {
		for j := range ordered {
			got := ordered[i].Compare(ordered[j])
			if (got < 0) != (i < j) || (got == 0) != (i == j) {
				t.Errorf("%v and %v: %d", ordered[i], ordered[j], got)
			}
		}
	}
}

func TestEveryReasonHasAHint(t *testing.T) {
	for _, r := range Reasons() {
		if r.Hint() == "" {
			t.Errorf("%s has no hint", r)
		}
	}
}
