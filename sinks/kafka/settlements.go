package kafka

import (
	"context"
	"encoding/json"
	"fmt"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/canonical"
	"tollstream/pipeline/catalog"
	"tollstream/pipeline/kafkalog"
	"tollstream/pipeline/stored"
)

// Kinds of records on the settlements topic. A closing's record has none.
const (
	kindClosing = ""
	kindCatalog = "catalog"
	kindGap     = "accepted_gap"
	kindEpoch   = "epoch"
)

// closingRecord is the wire form of a settlement.
type closingRecord struct {
	ClosedAt       string           `json:"closed_at"`
	Day            string           `json:"day"`
	CatalogDigest  string           `json:"catalog_digest"`
	CatalogVersion string           `json:"catalog_version"`
	RuleVersion    int              `json:"rule_version"`
	ClusterID      string           `json:"cluster_id"`
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
	if first, ok := decided[s.Day]; ok {
		return first, nil
	}
	if err := p.settle(ctx, s.ClosedAt.In(p.zone), p.settlementJSON(s)); err != nil {
		return nil, err
	}
	if decided, err = p.Settlements(ctx); err != nil {
		return nil, err
	}
	first, ok := decided[s.Day]
	if !ok {
		return nil, fmt.Errorf("the settlement of %s was appended to %s and is not there; "+
			"check the topic's retention", s.ClosedAt.In(p.zone), p.topics.Settlements)
	}
	return first, nil
}

// KeepCatalog appends a catalogue's file to the settlements topic, unless it is there. Two
// processes may do so at once; the records say the same.
func (p *Publisher) KeepCatalog(ctx context.Context, cat *catalog.Catalog) error {
	if file, err := p.CatalogFile(ctx, cat.Digest); err != nil || file != nil {
		return err
	}
	return p.settle(ctx, cat.Digest, canonical.JSON(canonical.Object{
		"kind": kindCatalog, "digest": cat.Digest, "product": cat.Product,
		"version": cat.Version, "file": string(cat.File),
	}))
}

// Settlements gives the first record of each closing on the settlements topic, by the day that
// closes.
func (p *Publisher) Settlements(
	ctx context.Context,
) (map[billing.Day]*stored.Settlement, error) {
	return p.settled.Settlements(ctx)
}

// CatalogFile gives the file of a catalogue that the settlements topic keeps, nil where it keeps
// none.
func (p *Publisher) CatalogFile(ctx context.Context, digest string) ([]byte, error) {
	return p.settled.CatalogFile(ctx, digest)
}

// settle appends one record to the settlements topic, which has one partition.
func (p *Publisher) settle(ctx context.Context, key string, value []byte) error {
	return p.send(ctx, p.topics.Settlements, []kafkalog.Outgoing{
		{Topic: p.topics.Settlements, Fixed: true, Key: []byte(key), Value: value},
	})
}

func (p *Publisher) settlementJSON(s *stored.Settlement) []byte {
	barriers := make([]any, len(s.Barriers))
	for i, b := range s.Barriers {
		barriers[i] = canonical.Object{"topic": b.Topic, "partition": int64(b.Partition),
			"low": b.Low, "high": b.High, "topic_id": b.TopicID}
	}
	return canonical.JSON(canonical.Object{
		"closed_at": s.ClosedAt.In(p.zone), "day": s.Day.String(),
		"catalog_digest": s.CatalogDigest, "catalog_version": s.CatalogVersion,
		"rule_version": s.RuleVersion, "cluster_id": s.ClusterID, "barriers": barriers,
	})
}

func parseSettlement(value []byte) (*stored.Settlement, error) {
	var r closingRecord
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
		CatalogVersion: r.CatalogVersion, RuleVersion: r.RuleVersion, ClusterID: r.ClusterID,
		Barriers: r.Barriers,
	}, nil
}
