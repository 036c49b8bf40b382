package stories

import (
	"bytes"
	"cmp"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"tollstream/pipeline/batch"
	"tollstream/pipeline/billing"
)

// call ACCOUNT xCOUNT TIME name=value ... [every=1s] [arrives=TIME] [same=ID]
func call(s *story, l *line) {
	n, err := strconv.Atoi(strings.TrimPrefix(l.word(1, "count"), "x"))
	l.ts.Check(err)
	every, err := time.ParseDuration(cmp.Or(l.opts["every"], "1s"))
	l.ts.Check(err)
	step := billing.Instant(every.Microseconds())
	at := l.instant(l.word(2, "time"))
	zone := s.cat().Settings.Zone
	head := s.callHead(l)
	s.records = slices.Grow(s.records, n)
	for ; n > 0; n, at = n-1, at+step {
		s.calls++
		id := cmp.Or(l.opts["same"], "c"+strconv.Itoa(s.calls))
		value := slices.Concat(head, []byte(`,"call_id":"`+id+`","occurred_at":"`+at.In(zone)+`"}`))
		s.add(batch.CallRecord, s.arrival(l, at), value)
	}
}

// callHead writes the fields that the calls of a line have in common, without the closing brace.
func (s *story) callHead(l *line) []byte {
	fields := map[string]any{
		"account_id": l.word(0, "account"), "result_code": cmp.Or(l.opts["code"], "0"),
	}
	for name, value := range l.opts {
		switch name {
		case "every", "arrives", "code", "same":
		case "intention", "need_charge":
			fields[name] = value == "true"
		default:
			fields[name] = value
		}
	}
	head, err := json.Marshal(fields)
	l.ts.Check(err)
	return bytes.TrimSuffix(head, []byte("}"))
}

// raw call|event TIME TEXT: a record as it is, for what cannot be decoded.
func raw(s *story, l *line) {
	kind := batch.CallRecord
	if l.word(0, "call or event") == "event" {
		kind = batch.EventRecord
	}
	text := strings.Join(l.words[2:], " ")
	s.add(kind, s.arrival(l, l.instant(l.word(1, "time"))), []byte(text))
}
