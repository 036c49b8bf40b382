package clickhouse

import (
	"context"
	"time"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/stored"
)

// Epochs gives which logs were ever read into this database.
func (s *Store) Epochs(ctx context.Context) (stored.Epochs, error) {
	all := stored.Epochs{}
	return all, s.each(ctx, "read the epochs of topics", `SELECT topic, toInt32(epoch), cluster_id,
			topic_id, reason, by, declared_at
		FROM log_epochs FINAL ORDER BY topic, epoch`, nil, func(rows driverRows) error {
		var e stored.Epoch
		var number int32
		var at time.Time
		err := rows.Scan(&e.Topic, &number, &e.ClusterID, &e.TopicID, &e.Reason, &e.By, &at)
		e.Number, e.DeclaredAt = int(number), billing.InstantOf(at)
		all.Add(e)
		return err
	})
}

// KeepEpoch notes that a log is read into this database.
func (s *Store) KeepEpoch(ctx context.Context, e stored.Epoch) error {
	return s.insert(ctx, "log_epochs", []column{
		{"topic", []string{e.Topic}},
		{"epoch", []uint32{uint32(e.Number)}},
		{"cluster_id", []string{e.ClusterID}},
		{"topic_id", []string{e.TopicID}},
		{"reason", []string{e.Reason}},
		{"by", []string{e.By}},
		{"declared_at", []time.Time{e.DeclaredAt.Time()}},
	})
}
