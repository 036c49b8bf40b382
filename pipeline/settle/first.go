package settle

import (
	"context"
	"slices"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/closing"
	"tollstream/pipeline/stored"
)

// firstMoment is the closing of the oldest record's day, for a deployment that names no first one.
func (l *Loop) firstMoment(ctx context.Context) (closing.Moment, error) {
	var oldest billing.Instant
	err := l.await(ctx, stepFirst, func(ctx context.Context) (waits string, err error) {
		oldest, waits, err = l.oldest(ctx)
		return waits, err
	})
	last := closing.LastMomentBy(l.Catalog, oldest)
	return closing.MomentOf(l.Catalog, last.Day+1), err
}

// oldest gives the append time of the oldest record, once no other can turn out to be older: the
// partitions are stored at different speeds, so the first record of each has to be there, and a
// broker's clock may be a little behind.
func (l *Loop) oldest(ctx context.Context) (at billing.Instant, waitsFor string, err error) {
	list, err := l.Store.FirstStored(ctx)
	if err != nil {
		return 0, "", err
	}
	first := map[string]billing.Arrival{}
	for _, a := range list {
		if first[a.Log()] = a; at == 0 || a.Appended < at {
			at = a.Appended
		}
	}
	missing, err := l.missingBefore(ctx, first)
	if err != nil {
		return 0, "", err
	}
	again, err := l.Store.FirstStored(ctx)
	switch {
	case err != nil:
		return 0, "", err
	case len(missing) > 0:
		return 0, "it could be older: " + describe(missing), nil
	case !slices.Equal(list, again):
		return 0, "another one was stored meanwhile", nil
	case at == 0:
		return 0, "no record is stored yet", nil
	case !l.Simulated && l.Now().Before(at.Time().Add(l.Margin)):
		return 0, "an older record could still come", nil
	}
	return at, "", nil
}

// missingBefore gives what is not stored of what stands in the logs before the first records that
// are; first has these by log.
func (l *Loop) missingBefore(
	ctx context.Context, first map[string]billing.Arrival,
) ([]Missing, error) {
	ranges, _, err := l.partitions(ctx)
	if err != nil {
		return nil, err
	}
	gaps, err := l.Publisher.Gaps(ctx)
	if err != nil {
		return nil, err
	}
	for i := range ranges {
		r := &ranges[i]
		var end int64
		r.Low, end, _, err = l.Log.Offsets(ctx, stored.TopicOf(r.Topic), int(r.Partition))
		if err != nil {
			return nil, err
		}
		log := billing.Arrival{Topic: r.Topic, Partition: r.Partition}.Log()
		if a, found := first[log]; found {
			end = a.Offset
		}
		r.High = max(r.Low, end) // what is stored may begin below where the log does now
	}
	return l.Store.Missing(ctx, stored.Without(ranges, gaps))
}
