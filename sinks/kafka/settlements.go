package kafka

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/canonical"
	"tollstream/pipeline/kafkalog"
	"tollstream/pipeline/stored"
)

// settlementRecord is the wire form of a settlement.
type settlementRecord struct {
	ClosedAt       string           `json:"closed_at"`
	Day            string           `json:"day"`
	CatalogDigest  string           `json:"catalog_digest"`
	CatalogVersion string           `json:"catalog_version"`
	RuleVersion    int              `json:"rule_version"`
	Barriers       []stored.Barrier `json:"barriers"`
}

// Decide appends a settlement to the settlements topic and gives the one that counts for its
// closing: the first that was ever appended, whoever wrote it (B21).
func (p *Publisher) Decide(
	ctx context.Context, s *stored.Settlement,
) (*stored.Settlement, error) {
	decided, err := p.Settlements(ctx)
	if err != nil {
		return nil, err
	}
	if first, ok := decided[s.ClosedAt]; ok {
		return first, nil
	}
	record := kafkalog.Outgoing{
		Topic: p.topics.Settlements, Fixed: true, Key: []byte(s.ClosedAt.In(p.zone)),
		Value: p.settlementJSON(s),
	}
	if err := p.send(ctx, p.topics.Settlements, []kafkalog.Outgoing{record}); err != nil {
		return nil, err
	}
	if decided, err = p.Settlements(ctx); err != nil {
		return nil, err
	}
	first, ok := decided[s.ClosedAt]
	if !ok {
		return nil, fmt.Errorf("the settlement of %s was appended to %s and is not there; "+
			"check the topic's retention", s.ClosedAt.In(p.zone), p.topics.Settlements)
	}
	return first, nil
}

func (p *Publisher) settlementJSON(s *stored.Settlement) []byte {
	barriers := make([]any, len(s.Barriers))
	for i, b := range s.Barriers {
		barriers[i] = canonical.Object{
			"topic": b.Topic, "partition": int64(b.Partition), "low": b.Low, "high": b.High,
		}
	}
	return canonical.JSON(canonical.Object{
		"closed_at": s.ClosedAt.In(p.zone), "day": s.Day.String(),
		"catalog_digest": s.CatalogDigest, "catalog_version": s.CatalogVersion,
		"rule_version": s.RuleVersion, "barriers": barriers,
	})
}

// Settlements gives the first record of each closing on the settlements topic. What was read before
// is kept: the topic only grows, and it is looked at again and again while a closing waits.
func (p *Publisher) Settlements(
	ctx context.Context,
) (map[billing.Instant]*stored.Settlement, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	topic := p.topics.Settlements
	start, end, _, err := p.log.Offsets(ctx, topic, 0)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", topic, err)
	}
	for p.read = max(p.read, start); p.read < end; {
		f, err := p.log.Fetch(ctx, topic, 0, p.read)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", topic, err)
		}
		if err := p.keepFirst(topic, &f); err != nil {
			return nil, err
		}
		p.read = f.Next
	}
	return maps.Clone(p.decided), nil
}

// keepFirst takes in what was fetched; of several records for a closing the first one counts (B21).
func (p *Publisher) keepFirst(topic string, f *kafkalog.Fetched) error {
	for i := range f.Records {
		r := &f.Records[i]
		if r.Outcome != kafkalog.Data {
			continue
		}
		s, err := parseSettlement(r.Value)
		if err != nil {
			return fmt.Errorf("%s offset %d is no settlement: %w", topic, r.Offset, err)
		}
		if p.decided[s.ClosedAt] == nil {
			p.decided[s.ClosedAt] = s
		}
	}
	return nil
}

func parseSettlement(value []byte) (*stored.Settlement, error) {
	var r settlementRecord
	if err := json.Unmarshal(value, &r); err != nil {
		return nil, err
	}
	closedAt, err := billing.ParseInstant(r.ClosedAt)
	if err != nil {
		return nil, err
	}
	day, err := billing.ParseDay(r.Day)
	if err != nil {
		return nil, err
	}
	return &stored.Settlement{
		Day: day, ClosedAt: closedAt, CatalogDigest: r.CatalogDigest,
		CatalogVersion: r.CatalogVersion, RuleVersion: r.RuleVersion, Barriers: r.Barriers,
	}, nil
}
