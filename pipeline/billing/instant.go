package billing

import (
	"fmt"
	"time"
)

// Instant is a moment in microseconds since 1970-01-01T00:00:00Z (rule B1). Finer digits are cut
// off when one is made. Instants compare with the ordinary operators.
type Instant int64

// Durations in the unit of Instant.
const (
	Microsecond Instant = 1
	Millisecond         = 1000 * Microsecond
	Second              = 1000 * Millisecond
	Minute              = 60 * Second
	Hour                = 60 * Minute
)

// InstantOf cuts t to the microsecond, towards the past also before 1970.
func InstantOf(t time.Time) Instant {
	return Instant(t.Unix())*Second + Instant(t.Nanosecond()/1000)
}

// ParseInstant reads RFC 3339 with an offset and up to nine fraction digits, and nothing else.
func ParseInstant(s string) (Instant, error) {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil || !strictRFC3339(s) {
		return 0, fmt.Errorf("%q is not an RFC 3339 time with offset", s)
	}
	return InstantOf(t), nil
}

// strictRFC3339 refuses what time.Parse lets through: a comma, an hour of one digit, more than
// nine fraction digits, an offset of 24 hours or of 60 minutes.
func strictRFC3339(s string) bool {
	const seconds = len("2006-01-02T15:04:05")
	if len(s) <= seconds || s[13] != ':' {
		return false
	}
	rest := s[seconds:]
	if rest[0] == '.' {
		n := 1
		for n < len(rest) && rest[n] >= '0' && rest[n] <= '9' {
			n++
		}
		if n == 1 || n > 10 {
			return false
		}
		rest = rest[n:]
	}
	if rest == "Z" {
		return true
	}
	return len(rest) == len("+08:00") && rest[1:3] < "24" && rest[4:] < "60"
}

// Time gives the instant as a time.Time in UTC.
func (i Instant) Time() time.Time { return time.UnixMicro(int64(i)).UTC() }

// In gives the RFC 3339 text of the instant in a zone, with as many fraction digits as it needs.
func (i Instant) In(zone *time.Location) string {
	return time.UnixMicro(int64(i)).In(zone).Format("2006-01-02T15:04:05.999999Z07:00")
}

// String gives the RFC 3339 text in UTC.
func (i Instant) String() string { return i.In(time.UTC) }

// Duration gives a length of time, kept in the unit of Instant, as a time.Duration.
func (i Instant) Duration() time.Duration { return time.Duration(i) * time.Microsecond }
