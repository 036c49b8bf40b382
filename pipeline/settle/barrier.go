package settle

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/closing"
	"tollstream/pipeline/stored"
)

// decide waits until a moment is due and fixes its barriers. If another process decided first, or
// this one before a crash, that decision counts (B21).
func (l *Loop) decide(ctx context.Context, m closing.Moment) (*stored.Settlement, error) {
	var decided *stored.Settlement
	l.notDueBefore = time.Time{}
	if !l.Simulated {
		l.notDueBefore = m.At.Time().Add(l.Margin)
	}
	err := l.await(ctx, stepBarriers, func(ctx context.Context) (string, error) {
		all, err := l.Publisher.Settlements(ctx)
		if err != nil {
			return "", err
		}
		if first, ok := all[m.Day]; ok {
			decided = first
			return "", nil
		}
		if l.Now().Before(l.notDueBefore) {
			return l.idle(ctx, m)
		}
		l.lost = ""
		cluster, barriers, waitsFor, err := l.barriers(ctx, m)
		if err != nil || waitsFor != "" {
			return waitsFor, err
		}
		if err := l.Publisher.KeepCatalog(ctx, l.Catalog); err != nil {
			return "", err
		}
		decided, err = l.Publisher.Decide(ctx, &stored.Settlement{
			Day: m.Day, ClosedAt: m.At, CatalogDigest: l.Catalog.Digest,
			CatalogVersion: l.Catalog.Version, RuleVersion: l.Catalog.Settings.RuleVersion,
			ClusterID: cluster, Barriers: barriers,
		})
		return "", err
	})
	if err != nil {
		return nil, err
	}
	return decided, l.insist(ctx, stepBarriers, func(ctx context.Context) error {
		if err := l.judgeBy(ctx, decided); err != nil {
			return err
		}
		return l.Store.WriteSettlement(ctx, decided, nil)
	})
}

// barriers finds, per partition, the first offset appended at or after the close time, else the
// end of the log, which counts only once no earlier record can still come. A topic that is another
// log than before is refused.
func (l *Loop) barriers(
	ctx context.Context, m closing.Moment,
) (cluster string, all []stored.Barrier, waitsFor string, err error) {
	all, cluster, err = l.partitions(ctx)
	if err != nil {
		return "", nil, "", err
	}
	for i := range all {
		if waitsFor, err := l.barrier(ctx, &all[i], m); err != nil || waitsFor != "" {
			return "", nil, waitsFor, err
		}
	}
	old, err := l.endedLogs(ctx, all, m)
	return cluster, append(all, old...), "", err
}

// partitions lists those of the input topics, account events first, as the logs that they are now.
func (l *Loop) partitions(
	ctx context.Context,
) (all []stored.Barrier, cluster string, err error) {
	if l.epochs, err = l.Publisher.Epochs(ctx); err != nil {
		return nil, "", err
	}
	for _, topic := range append([]string{l.Events}, l.Calls...) {
		info, err := l.Log.Topic(ctx, topic)
		if err != nil {
			return nil, "", err
		}
		epoch := l.epochs.Last(topic)
		if err := epoch.Check(info.ClusterID, info.ID); err != nil {
			return nil, "", err
		}
		cluster = info.ClusterID
		for _, p := range info.Partitions {
			all = append(all, stored.Barrier{Topic: epoch.Log(), Partition: int32(p), TopicID: info.ID})
		}
	}
	return all, cluster, nil
}

// barrier sets Low and High of a partition.
func (l *Loop) barrier(
	ctx context.Context, b *stored.Barrier, m closing.Moment,
) (waitsFor string, err error) {
	topic, partition := stored.TopicOf(b.Topic), int(b.Partition)
	start, high, stable, err := l.Log.Offsets(ctx, topic, partition)
	if err != nil {
		return "", err
	}
	at, found, err := l.Log.OffsetAt(ctx, topic, partition, m.At.Time())
	if err != nil {
		return "", err
	}
	switch {
	case found:
		b.High = at
	case l.Simulated && m.At > l.Until:
		return fmt.Sprintf("no record of that time in %s/%d yet", topic, partition), nil
	default:
		b.High = high
	}
	if b.Low, err = l.low(ctx, b, start); err != nil {
		return "", err
	}
	if high < b.Low {
		return fmt.Sprintf("the log of %s/%d ends at %d, and closings have seen it up to %d: it was "+
			"cut short; if that is to stay, run tollstream settle new-epoch --topic %s", topic,
			partition, high, b.Low, topic), nil
	}
	b.High = max(b.High, b.Low)
	if stable < b.High {
		return fmt.Sprintf("a transaction is open in %s/%d at offset %d, below the barrier %d",
			topic, partition, stable, b.High), nil
	}
	return "", nil
}

// endOfTime is later than everything that is appended.
const endOfTime = billing.Instant(math.MaxInt64)

// low is where the closing before ended. The first closing begins where the log does, or with the
// first record that was read before the log came to begin above it.
func (l *Loop) low(ctx context.Context, b *stored.Barrier, start int64) (int64, error) {
	if n := len(l.history); n > 0 {
		if _, high, known := rangeOf(&l.history[n-1], b); known {
			return high, nil
		}
	}
	if start == 0 {
		return 0, nil
	}
	run, err := l.Store.Run(ctx, b.Topic, b.Partition, 0, endOfTime)
	if err != nil || run.Low == run.High {
		return start, err
	}
	return min(start, run.Low), nil
}

// endedLogs carries on the logs of the closing before that are not read any more: earlier epochs,
// and topics that were taken out of the settings. Their calls may still wait for a closing, and
// what was read of them since counts.
func (l *Loop) endedLogs(
	ctx context.Context, current []stored.Barrier, m closing.Moment,
) (ended []stored.Barrier, err error) {
	if len(l.history) == 0 {
		return nil, nil
	}
	for _, b := range l.history[len(l.history)-1].Barriers {
		if slices.ContainsFunc(current, func(c stored.Barrier) bool {
			return c.Topic == b.Topic && c.Partition == b.Partition
		}) {
			continue
		}
		run, err := l.Store.Run(ctx, b.Topic, b.Partition, b.High, m.At)
		if err != nil {
			return nil, err
		}
		b.Low, b.High = b.High, max(b.High, run.High)
		ended = append(ended, b)
	}
	return ended, nil
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
