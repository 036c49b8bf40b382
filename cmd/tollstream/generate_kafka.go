package main

import (
	"context"
	"fmt"
	"io"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/generate"
	"tollstream/pipeline/kafkalog"
)

// kafkaSink writes to the configured brokers with the arrivals as record times.
type kafkaSink struct {
	producer *kafkalog.Producer
	// from is, for each partition of a topic, since when its records are to be sent: those that
	// arrive before stand there already. A partition that is not there wants all.
	from map[kafkalog.TopicPartition]billing.Instant
}

// openKafkaSink creates the topics that are missing, and takes over how many partitions those have
// that are there, because a record's partition follows from that number.
func openKafkaSink(ctx context.Context, cfg *Config, f *generateFlags, stderr io.Writer) (
	sink, error,
) {
	transport, err := cfg.Kafka.Transport()
	if err != nil {
		return nil, err
	}
	client, err := kafkalog.New(kafkalog.Options{Brokers: cfg.Kafka.Brokers, Transport: transport,
		ClientID: cfg.Kafka.ClientID})
	if err != nil {
		return nil, err
	}
	defer client.Close()
	o := &f.options
	if err := client.EnsureTopics(ctx, []kafkalog.TopicSpec{
		{Name: o.CallsTopic, Partitions: int(f.partitions), Retention: kafkalog.RetentionForever},
		{Name: o.EventsTopic, Partitions: 1, Retention: kafkalog.RetentionForever},
	}); err != nil {
		return nil, err
	}
	s := &kafkaSink{from: map[kafkalog.TopicPartition]billing.Instant{}}
	for _, t := range []struct {
		name       string
		partitions *int32
	}{{o.CallsTopic, &o.CallPartitions}, {o.EventsTopic, &o.EventPartitions}} {
		info, err := client.Topic(ctx, t.name)
		if err != nil {
			return nil, err
		}
		*t.partitions = int32(len(info.Partitions))
		if f.send != sendAll {
			if err := s.goOn(ctx, client, info); err != nil {
				return nil, err
			}
		} else if info.TimestampType == kafkalog.LogAppendTime {
			fmt.Fprintf(stderr, "tollstream: topic %s has message.timestamp.type=LogAppendTime: all "+
				"records arrive now, and what was generated as punctual will be late\n", t.name)
		}
	}
	s.producer, err = kafkalog.NewProducer(kafkalog.ProducerOptions{Brokers: cfg.Kafka.Brokers,
		Transport: transport, ClientID: cfg.Kafka.ClientID})
	if err != nil {
		return nil, err
	}
	return s, nil
}

// sentAgain is how much is sent again where the last record's time is the broker's: it tells when
// that one was appended, not which ones were.
const sentAgain = billing.Hour

// goOn finds since when the records of a topic's partitions are to be sent. Some stand there
// already, as after a producer's restart: ids tell the copies.
func (s *kafkaSink) goOn(
	ctx context.Context, client *kafkalog.Client, topic kafkalog.TopicInfo,
) error {
	for _, partition := range topic.Partitions {
		start, end, _, err := client.Offsets(ctx, topic.Name, partition)
		if err != nil {
			return err
		}
		if start == end {
			continue
		}
		last, err := client.Fetch(ctx, topic.Name, partition, end-1)
		if err != nil {
			return err
		}
		for _, r := range last.Records {
			from := billing.InstantOf(r.AppendTime)
			if r.TimestampType == kafkalog.LogAppendTime {
				from -= sentAgain
			}
			s.from[kafkalog.TopicPartition{Topic: topic.Name, Partition: partition}] = from
		}
	}
	return nil
}

// Send writes records, each to its own partition, and waits for them.
func (s *kafkaSink) Send(ctx context.Context, records []generate.Record) error {
	out := make([]kafkalog.Outgoing, 0, len(records))
	for i := range records {
		r := &records[i]
		place := kafkalog.TopicPartition{Topic: r.Topic, Partition: int(r.Partition)}
		if r.Arrived < s.from[place] {
			continue
		}
		out = append(out, kafkalog.Outgoing{Topic: r.Topic, Fixed: true, Partition: place.Partition,
			Key: r.Key, Value: r.Value, Time: r.Arrived.Time()})
	}
	if len(out) == 0 {
		return ctx.Err()
	}
	return s.producer.Produce(ctx, out...)
}

// Finish has nothing to do: Send has waited.
func (s *kafkaSink) Finish(*generate.Generator) error { return nil }

// Close ends the connections.
func (s *kafkaSink) Close() error { return s.producer.Close() }
