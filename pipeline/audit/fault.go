package audit

import (
	"fmt"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/settle"
)

// Faults are what is wrong, one sentence each, in the order of the report; there are none where
// every equation holds and every row stands.
func (r *Report) Faults() []string {
	var out []string
	add := func(day billing.Day, format string, args ...any) {
		out = append(out, day.String()+" "+fmt.Sprintf(format, args...))
	}
	for i := range r.Lines {
		l := &r.Lines[i]
		if fault := l.Fault(); fault != "" {
			add(l.Day, "%s/%d offsets [%d, %d): %s", l.Topic, l.Partition, l.Low, l.High, fault)
		}
		for k := range l.Missing {
			add(l.Day, "%s", &l.Missing[k])
		}
	}
	for i := range r.Taken {
		t := &r.Taken[i]
		add(t.Day, "%s", t.Taken)
		for k := range t.Missing {
			add(t.Day, "%s", &t.Missing[k])
		}
	}
	for _, s := range r.Skipped {
		add(s.Day, "%s", s)
	}
	return out
}

// MissingRows counts the records of which a row is missing, as far as they are named.
func (r *Report) MissingRows() int64 {
	n := int64(0)
	count := func(list []settle.Missing) {
		for _, m := range list {
			n += m.To - m.From
		}
	}
	for i := range r.Lines {
		count(r.Lines[i].Missing)
	}
	for i := range r.Taken {
		count(r.Taken[i].Missing)
	}
	return n
}

func (s Skipped) String() string {
	if s.To < s.From {
		return fmt.Sprintf("%s/%d: the closing saw offsets [%d, %d), which one before it had seen",
			s.Topic, s.Partition, s.To, s.From)
	}
	return fmt.Sprintf("%s/%d: no closing saw offsets [%d, %d), which lie below this one's",
		s.Topic, s.Partition, s.From, s.To)
}
