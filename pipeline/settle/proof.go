package settle

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/closing"
	"tollstream/pipeline/observe"
	"tollstream/pipeline/stored"
)

// namedMax bounds how many of the records that are missing are named in one message.
const namedMax = 5

// complete waits until everything below the barriers that the closing can take is stored. What is
// missing is named, in the log, in metrics and in readiness.
func (l *Loop) complete(ctx context.Context, s *stored.Settlement) error {
	return l.await(ctx, stepStored, func(ctx context.Context) (string, error) {
		return l.unproven(ctx, s)
	})
}

// unproven says what is missing for a closing, "" where nothing is.
func (l *Loop) unproven(ctx context.Context, s *stored.Settlement) (string, error) {
	gaps, err := l.Publisher.Gaps(ctx)
	if err != nil {
		return "", err
	}
	missing, err := l.Store.Missing(ctx, stored.Without(l.provable(s), gaps))
	if err != nil {
		return "", err
	}
	l.gaps = gaps
	if slices.Equal(missing, l.missing) && l.named == nil { // nothing comes any more
		if l.named, err = l.name(ctx, missing); err != nil {
			return "", err
		}
	} else if !slices.Equal(missing, l.missing) {
		l.missing, l.named = missing, nil
	}
	if l.named != nil {
		missing = l.named
	}
	l.Metrics.Missing(observed(missing))
	if len(missing) > 0 {
		return describe(missing), nil
	}
	return l.takenShort(ctx, s)
}

// takenShort names a closing of which calls are gone that this one would take again.
func (l *Loop) takenShort(ctx context.Context, s *stored.Settlement) (string, error) {
	since := closing.WindowStart(s.Day, l.Catalog.Settings.Zone)
	short, err := l.Store.TakenShort(ctx, since, s.ClosedAt-billing.Second)
	if err != nil || len(short) == 0 {
		return "", err
	}
	return short[0].String() + "; put the rows back from a backup, or make the database again with " +
		"tollstream rebuild", nil
}

// name says what the first unknown records are.
func (l *Loop) name(ctx context.Context, missing []Missing) ([]Missing, error) {
	epochs, err := l.Publisher.Epochs(ctx)
	if err != nil {
		return nil, err
	}
	l.epochs = epochs
	namer := Namer{Log: l.Log, Store: l.Store, Epochs: epochs, Look: l.Look, Most: namedMax}
	return namer.Name(ctx, missing)
}

// lostEvery is how often it is looked, while no closing is due, whether records are lost already.
const lostEvery = 10 * time.Second

// idle says when the closing is due, or what is lost already and will hold it up.
func (l *Loop) idle(ctx context.Context, m closing.Moment) (string, error) {
	due := m.Day.String() + " is due at " + m.At.In(l.Catalog.Settings.Zone)
	if l.Now().Sub(l.lookedLost) < lostEvery {
		return cmp.Or(l.lost, due), nil
	}
	l.lookedLost = l.Now()
	ranges, err := l.gone(ctx)
	if err != nil {
		return "", err
	}
	gaps, err := l.Publisher.Gaps(ctx)
	if err != nil {
		return "", err
	}
	var missing []Missing
	if ranges = stored.Without(ranges, gaps); len(ranges) > 0 {
		if missing, err = l.Store.Missing(ctx, ranges); err != nil {
			return "", err
		}
	}
	for i := range missing {
		missing[i].Kind = KindLost
	}
	l.Metrics.Missing(observed(missing))
	l.lost = describe(missing)
	return cmp.Or(l.lost, due), nil
}

// gone are the offsets that no closing has seen and that lie below where their logs begin now.
func (l *Loop) gone(ctx context.Context) (ranges []stored.Barrier, err error) {
	all, _, err := l.partitions(ctx)
	if err != nil {
		return nil, err
	}
	for _, b := range all {
		start, _, _, err := l.Log.Offsets(ctx, stored.TopicOf(b.Topic), int(b.Partition))
		if err != nil {
			return nil, err
		}
		b.High = start
		if b.Low, err = l.low(ctx, &b, start); err != nil {
			return nil, err
		}
		if b.Low < b.High {
			ranges = append(ranges, b)
		}
	}
	return ranges, nil
}

// describe names what is missing: the first records each, and how many there are.
func describe(missing []Missing) string {
	if len(missing) == 0 {
		return ""
	}
	var names []string
	records := int64(0)
	for i := range missing {
		if records += missing[i].To - missing[i].From; i < namedMax {
			names = append(names, missing[i].String())
		}
	}
	more := ""
	if len(missing) > namedMax {
		more = ", and more"
	}
	if slices.ContainsFunc(missing, func(m Missing) bool { return m.Kind == KindLost }) {
		more += "; the log does not have what is lost any more: tollstream settle accept-gap"
	}
	return fmt.Sprintf("%d records are not stored: %s%s", records, strings.Join(names, ", "), more)
}

// observed counts what is missing for the metrics.
func observed(missing []Missing) []observe.Missing {
	out := make([]observe.Missing, len(missing))
	for i, m := range missing {
		out[i] = observe.Missing{Topic: m.Topic, Partition: m.Partition, Kind: string(m.Kind),
			From: m.From, To: m.To}
	}
	return out
}

// provable are the ranges whose records a closing can take or can learn from: those appended in its
// window, and every account event, since who is who is folded from the first one on.
func (l *Loop) provable(s *stored.Settlement) []stored.Barrier {
	since := closing.WindowStart(s.Day, l.Catalog.Settings.Zone)
	old := -1 // the last closing that lies before the window
	for i := range l.history {
		if l.history[i].ClosedAt > since {
			break
		}
		old = i
	}
	ranges := slices.Clone(s.Barriers)
	for i := range ranges {
		r := &ranges[i]
		first := r.Low
		for k := range l.history {
			low, high, known := rangeOf(&l.history[k], r)
			if !known {
				continue
			}
			if first = min(first, low); k <= old && stored.TopicOf(r.Topic) != l.Events {
				first = high
			}
		}
		r.Low = first
	}
	return ranges
}

// rangeOf is what a closing saw of a barrier's partition.
func rangeOf(s *stored.Settlement, of *stored.Barrier) (low, high int64, known bool) {
	for _, b := range s.Barriers {
		if b.Topic == of.Topic && b.Partition == of.Partition {
			return b.Low, b.High, true
		}
	}
	return 0, 0, false
}
