package rebuild

import (
	"context"
	"fmt"
	"slices"

	"tollstream/pipeline/stored"
)

// Plan is a rebuild that can begin.
type Plan struct {
	Options
	recorded []stored.Settlement // in order
	gaps     []stored.Gap        // accepted ones: they are passed over as they were the first time
	epochs   stored.Epochs       // which log each topic is
	done     int                 // how many of them the database has
	tail     []stored.Barrier    // beyond the last barriers
	Offsets  int64               // to be read
}

// Closings is how many closings are to be done.
func (p *Plan) Closings() int { return len(p.recorded) - p.done }

// New reads which closings are recorded and how far the database is.
func New(ctx context.Context, o Options) (*Plan, error) {
	p := &Plan{Options: o}
	all, err := o.Settled.Settlements(ctx)
	if err != nil {
		return nil, err
	}
	if p.gaps, err = o.Settled.Gaps(ctx); err != nil {
		return nil, err
	}
	if p.epochs, err = o.Settled.Epochs(ctx); err != nil {
		return nil, err
	}
	for _, s := range all { // sorted below
		p.recorded = append(p.recorded, *s)
	}
	slices.SortFunc(p.recorded, func(a, b stored.Settlement) int { return int(a.Day - b.Day) })
	for i := 1; i < len(p.recorded); i++ {
		if before := p.recorded[i-1].Day; p.recorded[i].Day != before+1 {
			return nil, fmt.Errorf("the settlements topic has the closing of %s and none of %s, the day "+
				"after %s; it has lost records, or is of two deployments", p.recorded[i].Day, before+1,
				before)
		}
	}
	done, err := o.Store.ClosedSettlements(ctx)
	if err != nil {
		return nil, err
	}
	if err := p.checkDone(done); err != nil {
		return nil, err
	}
	if err := p.checkLogs(ctx); err != nil {
		return nil, err
	}
	if p.tail, err = p.beyond(ctx); err != nil {
		return nil, err
	}
	p.Offsets = offsetsOf(p.toRead(p.tail))
	for i := p.done; i < len(p.recorded); i++ {
		p.Offsets += offsetsOf(p.toRead(p.recorded[i].Barriers))
	}
	return p, nil
}

// toRead leaves out of ranges what was accepted as lost, and epochs that are over: of them the
// database has what it needs.
func (p *Plan) toRead(ranges []stored.Barrier) []stored.Barrier {
	return slices.DeleteFunc(stored.Without(slices.Clone(ranges), p.gaps), p.isOver)
}

// isOver tells whether a range is of an epoch that is over.
func (p *Plan) isOver(b stored.Barrier) bool {
	epoch := p.epochs.Last(stored.TopicOf(b.Topic))
	return b.Topic != epoch.Log()
}

func offsetsOf(list []stored.Barrier) (n int64) {
	for _, b := range list {
		n += b.High - b.Low
	}
	return n
}

// checkDone compares the closings that the database has with those that are recorded.
func (p *Plan) checkDone(done []stored.Settlement) error {
	p.done = len(done)
	for i := range done {
		d := &done[i]
		if i >= len(p.recorded) || d.Day != p.recorded[i].Day ||
			d.CatalogDigest != p.recorded[i].CatalogDigest ||
			!slices.Equal(d.Barriers, p.recorded[i].Barriers) {
			return fmt.Errorf("the database has a closing of %s that the settlements topic does not "+
				"have like this; it is of another deployment: use an empty one", d.Day)
		}
	}
	return nil
}

// checkLogs refuses what cannot be read again: records of an epoch that is over, unless they are in
// the database already.
func (p *Plan) checkLogs(ctx context.Context) error {
	for i := p.done; i < len(p.recorded); i++ {
		over := slices.DeleteFunc(stored.Without(slices.Clone(p.recorded[i].Barriers), p.gaps),
			func(b stored.Barrier) bool { return b.Low >= b.High || !p.isOver(b) })
		if len(over) == 0 {
			continue
		}
		missing, err := p.Store.Missing(ctx, over)
		if err != nil {
			return err
		}
		if len(missing) > 0 {
			m := &missing[0]
			epoch := p.epochs.Last(stored.TopicOf(m.Topic))
			return fmt.Errorf("the closing of %s saw records of %s/%d that the database does not have, "+
				"from offset %d on, and the topic is in epoch %d (%s, said %s): they are not on the "+
				"cluster any more; restore the database from a backup that has them and add --resume",
				p.recorded[i].Day, m.Topic, m.Partition, m.From, epoch.Number, epoch.Reason, epoch.By)
		}
	}
	return nil
}

// beyond are the stretches from the last barriers to the ends of the logs, as they are now.
func (p *Plan) beyond(ctx context.Context) ([]stored.Barrier, error) {
	var last []stored.Barrier
	if n := len(p.recorded); n > 0 {
		last = p.recorded[n-1].Barriers
	}
	var out []stored.Barrier
	for _, topic := range append([]string{p.Events}, p.Calls...) {
		info, err := p.Log.Topic(ctx, topic)
		if err != nil {
			return nil, err
		}
		epoch := p.epochs.Last(topic)
		if err := epoch.Check(info.ClusterID, info.ID); err != nil {
			return nil, err
		}
		for _, partition := range info.Partitions {
			b := stored.Barrier{Topic: epoch.Log(), Partition: int32(partition)}
			if b.Low, _, b.High, err = p.Log.Offsets(ctx, topic, partition); err != nil {
				return nil, err
			}
			for _, l := range last {
				if l.Topic == b.Topic && l.Partition == b.Partition {
					b.Low = max(b.Low, l.High)
				}
			}
			b.High = max(b.Low, b.High)
			out = append(out, b)
		}
	}
	return out, nil
}

// keepEpochs notes which logs the input topics were.
func (p *Plan) keepEpochs(ctx context.Context) error {
	for _, topic := range append([]string{p.Events}, p.Calls...) {
		for _, e := range p.epochs[topic] {
			if err := p.Store.KeepEpoch(ctx, e); err != nil {
				return err
			}
		}
	}
	return nil
}
