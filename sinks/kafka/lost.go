package kafka

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/canonical"
	"tollstream/pipeline/stored"
)

// epochRecord is the wire form of a topic's new epoch.
type epochRecord struct {
	Topic      string `json:"topic"`
	Epoch      int    `json:"epoch"`
	ClusterID  string `json:"cluster_id"`
	TopicID    string `json:"topic_id"`
	Reason     string `json:"reason"`
	By         string `json:"by"`
	DeclaredAt string `json:"declared_at"`
}

// AcceptGap appends an accepted gap. It is an error if another one that overlaps it came first.
func (p *Publisher) AcceptGap(ctx context.Context, g stored.Gap) error {
	log := fmt.Sprintf("%s/%d", g.Topic, g.Partition)
	if err := p.settle(ctx, log, p.gapJSON(&g)); err != nil {
		return err
	}
	all, err := p.Gaps(ctx)
	if err == nil && !slices.Contains(all, g) {
		err = fmt.Errorf("the gap %s [%d, %d) was appended to %s and does not count: another one "+
			"that overlaps it was accepted before", log, g.From, g.To, p.topics.Settlements)
	}
	return err
}

// BeginEpoch appends an epoch of a topic and gives the one of that number that counts: the first.
func (p *Publisher) BeginEpoch(ctx context.Context, e stored.Epoch) (stored.Epoch, error) {
	if err := p.settle(ctx, e.Topic, p.epochJSON(&e)); err != nil {
		return stored.Epoch{}, err
	}
	all, err := p.Epochs(ctx)
	if err != nil {
		return stored.Epoch{}, err
	}
	if list := all[e.Topic]; len(list) >= e.Number {
		return list[e.Number-1], nil
	}
	return stored.Epoch{}, fmt.Errorf("epoch %d of %s was appended to %s and does not follow on the "+
		"%d before it", e.Number, e.Topic, p.topics.Settlements, len(all[e.Topic]))
}

// Gaps gives the accepted gaps that count, in the order in which they were accepted.
func (p *Publisher) Gaps(ctx context.Context) ([]stored.Gap, error) { return p.settled.Gaps(ctx) }

// Epochs gives the epochs of topics that count.
func (p *Publisher) Epochs(ctx context.Context) (stored.Epochs, error) {
	return p.settled.Epochs(ctx)
}

func (p *Publisher) gapJSON(g *stored.Gap) []byte {
	return canonical.JSON(canonical.Object{"kind": kindGap, "topic": g.Topic,
		"partition": int64(g.Partition), "from": g.From, "to": g.To, "reason": g.Reason, "by": g.By,
		"accepted_at": g.AcceptedAt.In(p.zone),
	})
}

func (p *Publisher) epochJSON(e *stored.Epoch) []byte {
	return canonical.JSON(canonical.Object{"kind": kindEpoch, "topic": e.Topic, "epoch": e.Number,
		"cluster_id": e.ClusterID, "topic_id": e.TopicID, "reason": e.Reason, "by": e.By,
		"declared_at": e.DeclaredAt.In(p.zone),
	})
}

func parseEpoch(value []byte) (stored.Epoch, error) {
	var r epochRecord
	if err := json.Unmarshal(value, &r); err != nil {
		return stored.Epoch{}, err
	}
	if r.Topic == "" || r.Epoch < 1 {
		return stored.Epoch{}, fmt.Errorf("it is epoch %d of topic %q", r.Epoch, r.Topic)
	}
	at, err := billing.ParseInstant(r.DeclaredAt)
	return stored.Epoch{Topic: r.Topic, Number: r.Epoch, ClusterID: r.ClusterID,
		TopicID: r.TopicID, Reason: r.Reason, By: r.By, DeclaredAt: at}, err
}
