package kafkalog

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/segmentio/kafka-go"
)

// TopicSpec is what a topic should be.
type TopicSpec struct {
	Name          string
	Partitions    int // default 1
	Replication   int // default -1: what the brokers say
	TimestampType TimestampType
	CleanupPolicy string // default "delete"
	// Retention zero leaves it to the brokers; RetentionForever keeps everything.
	Retention time.Duration
	// Config has further settings for a topic that is created.
	Config map[string]string
}

func (s TopicSpec) withDefaults() TopicSpec {
	setDefault(&s.Partitions, 1)
	setDefault(&s.Replication, -1)
	setDefault(&s.CleanupPolicy, "delete")
	return s
}

// TopicMismatch says that a topic is not what it should be.
type TopicMismatch struct {
	Topic  string
	Faults []string // one sentence each
}

func (e *TopicMismatch) Error() string {
	return fmt.Sprintf("topic %q: %s; change it with kafka-configs, or name another topic",
		e.Topic, strings.Join(e.Faults, ", "))
}

// Check compares a topic with its specification: the timestamp type, the cleanup policy, and that
// there are partitions enough.
func (s TopicSpec) Check(got TopicInfo) error {
	s = s.withDefaults()
	var faults []string
	if got.TimestampType != s.TimestampType {
		faults = append(faults, fmt.Sprintf("%s is %s, want %s", configTimestampType,
			got.TimestampType, s.TimestampType))
	}
	if got.CleanupPolicy != s.CleanupPolicy {
		faults = append(faults, fmt.Sprintf("%s is %s, want %s", configCleanupPolicy,
			got.CleanupPolicy, s.CleanupPolicy))
	}
	if len(got.Partitions) < s.Partitions {
		faults = append(faults, fmt.Sprintf("it has %d partitions, want at least %d",
			len(got.Partitions), s.Partitions))
	}
	if len(faults) > 0 {
		return &TopicMismatch{s.Name, faults}
	}
	return nil
}

// CheckTopic asks what a topic is and compares: an *UnknownTopic, a *TopicMismatch, or nil.
func (c *Client) CheckTopic(ctx context.Context, spec TopicSpec) (TopicInfo, error) {
	info, err := c.Topic(ctx, spec.Name)
	if err != nil {
		return TopicInfo{}, err
	}
	return info, spec.Check(info)
}

// EnsureTopics creates the topics that are missing and leaves the others as they are; CheckTopic
// tells whether those are right. It returns once this client sees the new ones; other brokers may
// take a moment longer, which reads of this package wait for.
func (c *Client) EnsureTopics(ctx context.Context, specs []TopicSpec) error {
	request := &kafka.CreateTopicsRequest{}
	for _, s := range specs {
		request.Topics = append(request.Topics, s.withDefaults().creation())
	}
	if len(specs) == 0 {
		return nil
	}
	return c.retry(ctx, "create topics", "", func() error {
		answer, err := c.kafka.CreateTopics(ctx, request)
		if err != nil {
			return err
		}
		var faults []error
		for name, err := range answer.Errors {
			if err != nil && !errors.Is(err, kafka.TopicAlreadyExists) {
				faults = append(faults, fmt.Errorf("create topic %q: %w", name, err))
			}
		}
		return errors.Join(faults...)
	})
}

func (s TopicSpec) creation() kafka.TopicConfig {
	out := kafka.TopicConfig{Topic: s.Name, NumPartitions: s.Partitions,
		ReplicationFactor: s.Replication}
	set := func(name, value string) {
		out.ConfigEntries = append(out.ConfigEntries,
			kafka.ConfigEntry{ConfigName: name, ConfigValue: value})
	}
	set(configTimestampType, s.TimestampType.String())
	set(configCleanupPolicy, s.CleanupPolicy)
	switch {
	case s.Retention < 0:
		set(configRetentionMs, "-1")
	case s.Retention > 0:
		set(configRetentionMs, fmt.Sprint(s.Retention.Milliseconds()))
	}
	for name, value := range s.Config {
		set(name, value)
	}
	return out
}
