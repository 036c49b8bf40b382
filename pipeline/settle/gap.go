package settle

import (
	"context"
	"errors"
	"fmt"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/kafkalog"
	"tollstream/pipeline/stored"
)

// GapCheck is what is asked before a gap is accepted (B21).
type GapCheck struct {
	Log interface {
		Offsets(ctx context.Context, topic string, partition int) (start, high, stable int64, err error)
		Fetch(ctx context.Context, topic string, partition int, offset int64) (kafkalog.Fetched, error)
	}
	Store interface {
		ClosedSettlements(ctx context.Context) ([]stored.Settlement, error)
		Run(ctx context.Context, topic string, partition int32, from int64, before billing.Instant) (
			stored.Barrier, error)
		// StoredIn gives the first offset of a range of which a row stands, and its table.
		StoredIn(ctx context.Context, r stored.Barrier) (offset int64, table string, err error)
	}
	Gaps   []stored.Gap
	Epochs stored.Epochs
}

// Refusal says why a gap cannot be accepted: something of it is stored, can still be read, was seen
// by a closing, or is settled otherwise. Nil means that all of it is lost for ever.
func (c *GapCheck) Refusal(ctx context.Context, g stored.Gap) error {
	for _, o := range c.Gaps {
		if o.Overlaps(g) {
			return fmt.Errorf("offsets [%d, %d) of %s/%d were accepted as lost already, by %s: %s",
				o.From, o.To, o.Topic, o.Partition, o.By, o.Reason)
		}
	}
	if err := c.unseen(ctx, g); err != nil {
		return err
	}
	at, table, err := c.Store.StoredIn(ctx, rangeOfGap(g))
	if err != nil {
		return err
	}
	if table != "" {
		return fmt.Errorf("offset %d of %s/%d is not lost: the table %s has it", at, g.Topic,
			g.Partition, table)
	}
	return c.unreadable(ctx, g)
}

func rangeOfGap(g stored.Gap) stored.Barrier {
	return stored.Barrier{Topic: g.Topic, Partition: g.Partition, Low: g.From, High: g.To}
}

// unseen refuses what lies below the barriers of a closing that is done, or before the books begin.
func (c *GapCheck) unseen(ctx context.Context, g stored.Gap) error {
	done, err := c.Store.ClosedSettlements(ctx)
	if err != nil {
		return err
	}
	r := rangeOfGap(g)
	if n := len(done); n > 0 {
		if _, high, known := rangeOf(&done[n-1], &r); known {
			if g.From < high {
				return fmt.Errorf("the closing of %s and those before it have seen %s/%d up to offset %d: "+
					"what they saw is not lost, their rows have to be restored", done[n-1].Day, g.Topic,
					g.Partition, high)
			}
			return nil
		}
	}
	run, err := c.Store.Run(ctx, g.Topic, g.Partition, 0, endOfTime)
	if err != nil {
		return err
	}
	if run.Low == run.High {
		return fmt.Errorf("nothing of %s/%d was ever read; is it the name that the error gives?",
			g.Topic, g.Partition)
	}
	if g.From < run.Low {
		return fmt.Errorf("the books of %s/%d begin at offset %d: nothing before it was ever read, "+
			"and no closing waits for it", g.Topic, g.Partition, run.Low)
	}
	return nil
}

// unreadable refuses offsets that the log still has, or does not have yet. A corrupt batch counts
// as lost. Of an epoch that is over nothing can be read.
func (c *GapCheck) unreadable(ctx context.Context, g stored.Gap) error {
	epoch := c.Epochs.Last(stored.TopicOf(g.Topic))
	if epoch.Log() != g.Topic {
		return nil
	}
	start, high, _, err := c.Log.Offsets(ctx, epoch.Topic, int(g.Partition))
	if err != nil {
		return err
	}
	if g.To > high {
		return fmt.Errorf("the log of %s/%d ends at offset %d: what is not written yet cannot be lost",
			g.Topic, g.Partition, high)
	}
	for at := max(g.From, start); at < g.To; at++ {
		_, err := c.Log.Fetch(ctx, epoch.Topic, int(g.Partition), at)
		var corrupt *kafkalog.CorruptBatch
		if err == nil {
			return fmt.Errorf("offset %d of %s/%d can still be read: it is not lost", at, g.Topic,
				g.Partition)
		}
		if !errors.As(err, &corrupt) {
			return err
		}
	}
	return nil
}
