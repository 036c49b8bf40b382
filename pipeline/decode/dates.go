package decode

import "tollstream/pipeline/billing"

// dates reads times that are written in full, and remembers the last date: most records are of the
// same day as the one before.
type dates struct {
	date  string // 2006-01-02
	start billing.Instant
}

const (
	dateLen    = len("2006-01-02")
	secondsLen = len("2006-01-02T15:04:05")
	zoneLen    = len("+08:00")
)

// instant is billing.ParseInstant for what it takes; of anything else it says nothing.
func (d *dates) instant(s string) (billing.Instant, bool) {
	if len(s) < secondsLen || s[10] != 'T' || s[13] != ':' || s[16] != ':' {
		return 0, false
	}
	hour, minute, second := twoDigits(s, 11), twoDigits(s, 14), twoDigits(s, 17)
	if hour > 23 || minute > 59 || second > 59 {
		return 0, false
	}
	micros, rest, ok := fraction(s[secondsLen:])
	if !ok {
		return 0, false
	}
	offset, ok := zoneOffset(rest)
	if !ok || s[:dateLen] != d.date && !d.learn(s[:dateLen]) {
		return 0, false
	}
	return d.start + billing.Instant(hour)*billing.Hour + billing.Instant(minute)*billing.Minute +
		billing.Instant(second)*billing.Second + micros - offset, true
}

// learn makes a date the one that is remembered.
func (d *dates) learn(date string) bool {
	start, err := billing.ParseInstant(date + "T00:00:00Z")
	if err != nil {
		return false
	}
	d.date, d.start = string([]byte(date)), start // the record's memory is used again
	return true
}

// twoDigits reads a number, and gives 100 where there is none.
func twoDigits(s string, at int) int {
	a, b := s[at]-'0', s[at+1]-'0'
	if a > 9 || b > 9 {
		return 100
	}
	return int(a)*10 + int(b)
}

// fraction reads the digits behind the seconds, one to nine if any, cut to the microsecond.
func fraction(s string) (micros billing.Instant, rest string, ok bool) {
	if s == "" || s[0] != '.' {
		return 0, s, true
	}
	n := 1
	for ; n < len(s) && s[n]-'0' <= 9; n++ {
		if n <= 6 {
			micros = micros*10 + billing.Instant(s[n]-'0')
		}
	}
	for i := n; i <= 6; i++ {
		micros *= 10
	}
	return micros, s[n:], n > 1 && n <= 10
}

// zoneOffset reads Z or an offset of less than 24 hours.
func zoneOffset(s string) (billing.Instant, bool) {
	if s == "Z" {
		return 0, true
	}
	if len(s) != zoneLen || s[3] != ':' {
		return 0, false
	}
	hour, minute := twoDigits(s, 1), twoDigits(s, 4)
	offset := billing.Instant(hour)*billing.Hour + billing.Instant(minute)*billing.Minute
	switch s[0] {
	case '+':
	case '-':
		offset = -offset
	default:
		return 0, false
	}
	return offset, hour < 24 && minute < 60
}
