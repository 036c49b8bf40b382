package kafkalog

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/segmentio/kafka-go"
)

// The topic settings that this package reads.
const (
	configTimestampType  = "message.timestamp.type"
	configCleanupPolicy  = "cleanup.policy"
	configRetentionMs    = "retention.ms"
	configRetentionBytes = "retention.bytes"
	configMaxMessage     = "max.message.bytes"
)

// RetentionForever is the Retention of a topic that keeps its records.
const RetentionForever time.Duration = -1

// TopicInfo is what the cluster says about a topic.
type TopicInfo struct {
	Name string
	// ID tells a topic from a later one of the same name, in hexadecimal digits. It is empty when
	// the brokers do not tell (before Apache Kafka 3.1).
	ID string
	// ClusterID is the one of Client.ClusterID.
	ClusterID     string
	Partitions    []int // in ascending order
	TimestampType TimestampType
	CleanupPolicy string // "delete", "compact" or "compact,delete"
	// Retention by time, RetentionForever for none; RetentionBytes is -1 for no limit by size.
	Retention       time.Duration
	RetentionBytes  int64
	MaxMessageBytes int64
}

// Topic asks the cluster, not a cache, what a topic is. An absent one is an *UnknownTopic.
func (c *Client) Topic(ctx context.Context, name string) (TopicInfo, error) {
	info, err := c.identify(ctx, name)
	if err != nil {
		return TopicInfo{}, err
	}
	err = c.retry(ctx, fmt.Sprintf("describe the settings of topic %q", name), name, func() error {
		return c.topicConfig(ctx, &info)
	})
	if err != nil {
		return TopicInfo{}, err
	}
	return info, nil
}

// TopicID asks for the ids of Topic alone: of the cluster, and of the topic.
func (c *Client) TopicID(ctx context.Context, name string) (cluster, id string, err error) {
	info, err := c.identify(ctx, name)
	return info.ClusterID, info.ID, err
}

// identify asks for what the cluster's metadata says of a topic.
func (c *Client) identify(ctx context.Context, name string) (TopicInfo, error) {
	info := TopicInfo{Name: name}
	err := c.retry(ctx, fmt.Sprintf("describe topic %q", name), name, func() error {
		meta, err := c.metadata(ctx, name)
		if err != nil {
			return err
		}
		return info.fromMetadata(meta)
	})
	return info, err
}

// ClusterID is the id that the brokers agreed on when the cluster was first formatted.
func (c *Client) ClusterID(ctx context.Context) (string, error) {
	var id string
	err := c.retry(ctx, "ask for the cluster id", "", func() error {
		meta, err := c.metadata(ctx, "")
		id = meta.clusterID
		return err
	})
	return id, err
}

func (t *TopicInfo) fromMetadata(m metadataResponse) error {
	t.ClusterID = m.clusterID
	for _, topic := range m.topics {
		if topic.name != t.Name {
			continue
		}
		if topic.code != 0 {
			return kafka.Error(topic.code)
		}
		if topic.id != [16]byte{} {
			t.ID = hex.EncodeToString(topic.id[:])
		}
		t.Partitions = slices.Sorted(slices.Values(topic.partitions))
		return nil
	}
	return kafka.UnknownTopicOrPartition
}

// topicConfig reads the settings, which fall back to the broker's own where the topic has none.
func (c *Client) topicConfig(ctx context.Context, info *TopicInfo) error {
	answer, err := c.kafka.DescribeConfigs(ctx, &kafka.DescribeConfigsRequest{
		Resources: []kafka.DescribeConfigRequestResource{{
			ResourceType: kafka.ResourceTypeTopic,
			ResourceName: info.Name,
			ConfigNames: []string{configTimestampType, configCleanupPolicy, configRetentionMs,
				configRetentionBytes, configMaxMessage},
		}},
	})
	if err != nil {
		return err
	}
	if len(answer.Resources) != 1 {
		return fmt.Errorf("%d answers, want 1", len(answer.Resources))
	}
	if err := answer.Resources[0].Error; err != nil {
		return err
	}
	values := map[string]string{}
	for _, e := range answer.Resources[0].ConfigEntries {
		values[e.ConfigName] = e.ConfigValue
	}
	return info.fromConfig(values)
}

// fromConfig takes the values over. A setting that is missing or not understood is an error: to
// guess the timestamp type would be to guess whose clock decides what a customer pays.
func (t *TopicInfo) fromConfig(values map[string]string) error {
	var faults []error
	switch v := values[configTimestampType]; v {
	case CreateTime.String():
		t.TimestampType = CreateTime
	case LogAppendTime.String():
		t.TimestampType = LogAppendTime
	default:
		faults = append(faults, fmt.Errorf("%s is %q", configTimestampType, v))
	}
	if t.CleanupPolicy = values[configCleanupPolicy]; t.CleanupPolicy == "" {
		faults = append(faults, fmt.Errorf("%s is not told", configCleanupPolicy))
	}
	number := func(name string) int64 {
		n, err := strconv.ParseInt(values[name], 10, 64)
		if err != nil {
			faults = append(faults, fmt.Errorf("%s is %q, want a number", name, values[name]))
		}
		return n
	}
	t.Retention = retention(number(configRetentionMs))
	t.RetentionBytes = number(configRetentionBytes)
	t.MaxMessageBytes = number(configMaxMessage)
	if len(faults) > 0 {
		return errors.Join(faults...)
	}
	return nil
}

// retention turns milliseconds into a Duration; what a Duration cannot hold is for ever.
func retention(ms int64) time.Duration {
	if ms < 0 || ms > int64(1<<63-1)/int64(time.Millisecond) {
		return RetentionForever
	}
	return time.Duration(ms) * time.Millisecond
}
