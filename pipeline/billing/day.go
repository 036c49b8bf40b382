package billing

import (
	"fmt"
	"strconv"
	"time"
)

// Day is a calendar day, counted from 1970-01-01. Which instants it holds depends on the zone of
// the deployment (rule B1): [00:00, next 00:00).
type Day int32

// Month is a calendar month: year*12 + month-1.
type Month int32

// DayOf tells on which day an instant lies in the zone.
func DayOf(i Instant, zone *time.Location) Day {
	_, offset := time.UnixMicro(int64(i)).In(zone).Zone()
	seconds := floorDiv(int64(i), int64(Second)) + int64(offset)
	return Day(floorDiv(seconds, 86400))
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b != 0 && (a < 0) != (b < 0) {
		q--
	}
	return q
}

// DateOf makes the day of a civil date; out-of-range parts roll over as time.Date does.
func DateOf(year int, month time.Month, day int) Day {
	return Day(floorDiv(time.Date(year, month, day, 0, 0, 0, 0, time.UTC).Unix(), 86400))
}

// ParseDay reads YYYY-MM-DD and refuses dates that do not exist, such as 2023-02-30.
func ParseDay(s string) (Day, error) {
	t, err := time.Parse("2006-01-02", s)
	if err != nil {
		return 0, fmt.Errorf("%q is not a date (YYYY-MM-DD)", s)
	}
	return Day(floorDiv(t.Unix(), 86400)), nil
}

func (d Day) civil() (int, time.Month, int) {
	return time.Unix(int64(d)*86400, 0).UTC().Date()
}

// Start is the first instant of the day in the zone.
func (d Day) Start(zone *time.Location) Instant {
	y, m, day := d.civil()
	return InstantOf(time.Date(y, m, day, 0, 0, 0, 0, zone))
}

// At is the instant of a wall-clock time, given as the time since 00:00, on this day in the zone.
func (d Day) At(clock time.Duration, zone *time.Location) Instant {
	y, m, day := d.civil()
	return InstantOf(time.Date(y, m, day, 0, 0, 0, int(clock), zone))
}

// Month tells in which month the day lies.
func (d Day) Month() Month {
	y, m, _ := d.civil()
	return Month(y*12 + int(m) - 1)
}

// AddYears gives the same date in a later year. 29 February becomes 1 March where the later year
// has no leap day, so that a package of 29 February ends before 1 March (rule B8).
func (d Day) AddYears(years int) Day {
	y, m, day := d.civil()
	return DateOf(y+years, m, day)
}

// String gives YYYY-MM-DD.
func (d Day) String() string {
	y, m, day := d.civil()
	if y < 1000 || y > 9999 {
		return fmt.Sprintf("%04d-%02d-%02d", y, int(m), day)
	}
	var room [16]byte
	return string(appendPart(appendPart(strconv.AppendInt(room[:0], int64(y), 10), int(m)), day))
}

// appendPart appends a month or a day of two digits with its hyphen.
func appendPart(to []byte, n int) []byte {
	return append(to, '-', byte('0'+n/10), byte('0'+n%10))
}

// FirstDay is the first day of the month.
func (m Month) FirstDay() Day { return DateOf(int(m)/12, time.Month(int(m)%12+1), 1) }

// String gives YYYY-MM.
func (m Month) String() string {
	if m < 12000 || m >= 120000 {
		return fmt.Sprintf("%04d-%02d", int(m)/12, int(m)%12+1)
	}
	var room [16]byte
	return string(appendPart(strconv.AppendInt(room[:0], int64(m)/12, 10), int(m)%12+1))
}

// Cycle is how often an account's bills close (rule B3).
type Cycle string

// The two cycles.
const (
	Daily   Cycle = "daily"
	Monthly Cycle = "monthly"
)

// Period is what one bill, or one bill line, is about: a day or a month, half-open.
type Period struct {
	Cycle Cycle
	First Day // inclusive
	End   Day // exclusive
}

// DayPeriod is the period of one day.
func DayPeriod(d Day) Period { return Period{Cycle: Daily, First: d, End: d + 1} }

// MonthPeriod is the period of one calendar month.
func MonthPeriod(m Month) Period {
	return Period{Cycle: Monthly, First: m.FirstDay(), End: (m + 1).FirstDay()}
}

// PeriodOf is the period of a cycle in which a day lies.
func PeriodOf(c Cycle, d Day) Period {
	if c == Daily {
		return DayPeriod(d)
	}
	return MonthPeriod(d.Month())
}

// ParsePeriod reads 2023-01-05 or 2023-01.
func ParsePeriod(s string) (Period, error) {
	if d, err := ParseDay(s); err == nil {
		return DayPeriod(d), nil
	}
	d, err := ParseDay(s + "-01")
	if err != nil {
		return Period{}, fmt.Errorf("%q is not a period (YYYY-MM-DD or YYYY-MM)", s)
	}
	return MonthPeriod(d.Month()), nil
}

// Has tells whether the day lies in the period.
func (p Period) Has(d Day) bool { return p.First <= d && d < p.End }

// String gives 2023-01-05 for a day and 2023-01 for a month.
func (p Period) String() string {
	if p.Cycle == Daily {
		return p.First.String()
	}
	return p.First.Month().String()
}
