package main

import (
	"context"
	"fmt"
	"time"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/kafkalog"
	"tollstream/pipeline/stored"
)

// firstEpoch says who begins a topic's first epoch: nobody has to.
const firstEpoch = "tollstream"

// knowLogs makes sure that the input topics are the logs that were read so far, by this deployment
// and into this database. A topic that was never seen begins its first epoch.
func (s *system) knowLogs(ctx context.Context) error {
	kept, err := s.store.Epochs(ctx)
	if err != nil {
		return err
	}
	recorded, err := s.publisher.Epochs(ctx)
	if err != nil {
		return err
	}
	for _, spec := range s.inputTopics() {
		topic := spec.Name
		cluster, id, err := s.log.TopicID(ctx, topic)
		if err != nil {
			return err
		}
		if err := s.sameHistory(cluster, kept[topic], recorded[topic]); err != nil {
			return err
		}
		epoch := recorded.Last(topic)
		if epoch.Number == 0 {
			epoch, err = s.publisher.BeginEpoch(ctx, stored.Epoch{Topic: topic, Number: 1,
				ClusterID: cluster, TopicID: id, Reason: "read for the first time", By: firstEpoch,
				DeclaredAt: billing.InstantOf(time.Now())})
			if err != nil {
				return err
			}
			recorded.Add(epoch)
		}
		if err := epoch.Check(cluster, id); err != nil {
			return err
		}
		for _, e := range recorded[topic][len(kept[topic]):] {
			if err := s.store.KeepEpoch(ctx, e); err != nil {
				return err
			}
		}
	}
	return nil
}

// sameHistory refuses a cluster whose settlements do not know what the database has read.
func (s *system) sameHistory(cluster string, kept, recorded []stored.Epoch) error {
	for i, e := range kept {
		if i < len(recorded) && recorded[i].ClusterID == e.ClusterID &&
			recorded[i].TopicID == e.TopicID {
			continue
		}
		return fmt.Errorf("database %s has read topic %s of cluster %q, id %s, and the topic %s of "+
			"cluster %q does not say so; connect to the cluster that was read, copy its topic %s to "+
			"this one, or use an empty database", s.cfg.ClickHouse.Database, e.Topic, e.ClusterID,
			e.TopicID, s.cfg.Kafka.Topics.Settlements, cluster, s.cfg.Kafka.Topics.Settlements)
	}
	return nil
}

// newEpoch has a topic's records begin anew.
func (s *system) newEpoch(
	ctx context.Context, topic, reason, by string,
) (stored.Epoch, error) {
	all, err := s.publisher.Epochs(ctx)
	if err != nil {
		return stored.Epoch{}, err
	}
	last := all.Last(topic)
	if last.Number == 0 {
		return last, fmt.Errorf("nothing was read of topic %s yet: there is nothing to begin anew",
			topic)
	}
	info, err := s.log.Topic(ctx, topic)
	if err != nil {
		return last, err
	}
	if last.Check(info.ClusterID, info.ID) == nil {
		cut, err := s.cutShort(ctx, last, info)
		if err != nil {
			return last, err
		}
		if !cut {
			return last, fmt.Errorf("topic %s is the log that was read so far, id %s on cluster %q: "+
				"there is nothing to begin anew", topic, info.ID, info.ClusterID)
		}
	}
	next, err := s.publisher.BeginEpoch(ctx, stored.Epoch{Topic: topic, Number: last.Number + 1,
		ClusterID: info.ClusterID, TopicID: info.ID, Reason: reason, By: by,
		DeclaredAt: billing.InstantOf(time.Now())})
	if err != nil {
		return last, err
	}
	return next, s.store.KeepEpoch(ctx, next)
}

// cutShort tells whether a log ends below what was read of it.
func (s *system) cutShort(
	ctx context.Context, epoch stored.Epoch, info kafkalog.TopicInfo,
) (bool, error) {
	for _, p := range info.Partitions {
		_, high, _, err := s.log.Offsets(ctx, info.Name, p)
		if err != nil {
			return false, err
		}
		run, err := s.store.Run(ctx, epoch.Log(), int32(p), high, billing.InstantOf(farFuture))
		if err != nil || run.Low < run.High {
			return err == nil, err
		}
	}
	return false, nil
}

// farFuture is later than everything that was appended.
var farFuture = time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)
