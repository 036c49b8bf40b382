package settle

import (
	"context"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/stored"
)

// Namer finds out what records of which no delivery is stored are, from the log itself.
type Namer struct {
	Log interface {
		Offsets(ctx context.Context, topic string, partition int) (start, high, stable int64, err error)
	}
	Store interface {
		Kinds(ctx context.Context, list []stored.Delivery) ([]Kind, error)
	}
	Epochs stored.Epochs
	// Look reads one record of a log again; nil looks at none.
	Look func(ctx context.Context, at billing.Arrival) (stored.Delivery, error)
	Most int // records are looked at, while the list is shorter
}

// Name gives the list with the unknown records looked at, and those told apart that the log no
// longer has.
func (n *Namer) Name(ctx context.Context, missing []Missing) ([]Missing, error) {
	var named []Missing
	for _, m := range missing {
		if m.Kind != KindUnknown {
			named = append(named, m)
			continue
		}
		start, err := n.logStart(ctx, &m)
		if err != nil {
			return nil, err
		}
		if lost := m; m.From < start {
			lost.To, lost.Kind = min(m.To, start), KindLost
			named, m.From = append(named, lost), lost.To
		}
		for ; m.From < m.To && len(named) < n.Most && n.Look != nil; m.From++ {
			one := m
			one.To = m.From + 1
			if one.Kind, err = n.kind(ctx, &one); err != nil {
				return nil, err
			}
			named = append(named, one)
		}
		if m.From < m.To {
			named = append(named, m)
		}
	}
	return named, nil
}

// logStart is where the log of what is missing begins now. An epoch that is over has nothing left.
func (n *Namer) logStart(ctx context.Context, m *Missing) (int64, error) {
	epoch := n.Epochs.Last(stored.TopicOf(m.Topic))
	if epoch.Log() != m.Topic {
		return m.To, nil
	}
	start, _, _, err := n.Log.Offsets(ctx, epoch.Topic, int(m.Partition))
	return start, err
}

func (n *Namer) kind(ctx context.Context, m *Missing) (Kind, error) {
	d, err := n.Look(ctx, billing.Arrival{Topic: m.Topic, Partition: m.Partition, Offset: m.From})
	if err != nil {
		return "", err
	}
	kinds, err := n.Store.Kinds(ctx, []stored.Delivery{d})
	if err != nil {
		return "", err
	}
	return kinds[0], nil
}
