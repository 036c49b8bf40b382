package settle

import (
	"context"
	"fmt"
	"time"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/closing"
	"tollstream/pipeline/stored"
)

// decide waits until a moment is due and fixes its barriers. If another process decided first, or
// this one before a crash, that decision counts (B21).
func (l *Loop) decide(ctx context.Context, m closing.Moment) (*stored.Settlement, error) {
	var decided *stored.Settlement
	const what = "barriers of the next closing"
	l.notDueBefore = time.Time{}
	if !l.Simulated {
		l.notDueBefore = m.At.Time().Add(l.Margin)
	}
	err := l.await(ctx, what, func(ctx context.Context) (string, error) {
		all, err := l.Publisher.Settlements(ctx)
		if err != nil {
			return "", err
		}
		if first, ok := all[m.Day]; ok {
			decided = first
			return "", nil
		}
		barriers, waitsFor, err := l.barriers(ctx, m)
		if err != nil || waitsFor != "" {
			return waitsFor, err
		}
		if err := l.Publisher.KeepCatalog(ctx, l.Catalog); err != nil {
			return "", err
		}
		decided, err = l.Publisher.Decide(ctx, &stored.Settlement{
			Day: m.Day, ClosedAt: m.At, CatalogDigest: l.Catalog.Digest,
			CatalogVersion: l.Catalog.Version, RuleVersion: l.Catalog.Settings.RuleVersion,
			Barriers: barriers,
		})
		return "", err
	})
	if err != nil {
		return nil, err
	}
	return decided, l.insist(ctx, what, func(ctx context.Context) error {
		if err := l.judgeBy(ctx, decided); err != nil {
			return err
		}
		return l.Store.WriteSettlement(ctx, decided, nil)
	})
}

// barriers finds, per partition, the first offset appended at or after the close time, else the
// end of the log, which counts only once no earlier record can still come.
func (l *Loop) barriers(
	ctx context.Context, m closing.Moment,
) ([]stored.Barrier, string, error) {
	if l.Now().Before(l.notDueBefore) {
		return nil, m.Day.String() + " is due at " + m.At.In(l.Catalog.Settings.Zone), nil
	}
	var all []stored.Barrier
	for _, topic := range append([]string{l.Events}, l.Calls...) {
		info, err := l.Log.Topic(ctx, topic)
		if err != nil {
			return nil, "", err
		}
		for _, p := range info.Partitions {
			b, waitsFor, err := l.barrier(ctx, topic, p, m)
			if err != nil || waitsFor != "" {
				return nil, waitsFor, err
			}
			all = append(all, b)
		}
	}
	return all, "", nil
}

func (l *Loop) barrier(
	ctx context.Context, topic string, partition int, m closing.Moment,
) (stored.Barrier, string, error) {
	b := stored.Barrier{Topic: topic, Partition: int32(partition)}
	start, high, stable, err := l.Log.Offsets(ctx, topic, partition)
	if err != nil {
		return b, "", err
	}
	at, found, err := l.Log.OffsetAt(ctx, topic, partition, m.At.Time())
	if err != nil {
		return b, "", err
	}
	switch {
	case found:
		b.High = at
	case l.Simulated && m.At > l.Until:
		return b, fmt.Sprintf("no record of that time in %s/%d yet", topic, partition), nil
	default:
		b.High = high
	}
	b.Low = l.lastBarrier(topic, int32(partition), start)
	b.High = max(b.High, b.Low)
	if stable < b.High {
		return b, fmt.Sprintf("a transaction is open in %s/%d at offset %d, below the barrier %d",
			topic, partition, stable, b.High), nil
	}
	return b, "", nil
}

// lastBarrier is where the closing before ended, or where the log begins.
func (l *Loop) lastBarrier(topic string, partition int32, start int64) int64 {
	if n := len(l.history); n > 0 {
		for _, b := range l.history[n-1].Barriers {
			if b.Topic == topic && b.Partition == partition {
				return b.High
			}
		}
	}
	return start
}

// missedBy is the last closing whose barrier an event lies beyond (B25). Before the first closing
// of a deployment the nominal close times count, as if they had closed nothing.
func (l *Loop) missedBy(at billing.Arrival) closing.Moment {
	for i := len(l.history) - 1; i >= 0; i-- {
		for _, b := range l.history[i].Barriers {
			if b.Topic == at.Topic && b.Partition == at.Partition && b.High <= at.Offset {
				return closing.MomentOf(l.cat, l.history[i].Day)
			}
		}
	}
	last := closing.LastMomentBy(l.cat, at.Appended)
	if len(l.history) > 0 && last.Day >= l.history[0].Day {
		return closing.MomentOf(l.cat, l.history[0].Day-1)
	}
	return last
}
