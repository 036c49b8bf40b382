package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"tollstream/pipeline/generate"
	"tollstream/pipeline/kafkalog"
)

// lineFile is a file that has its name only when it is whole.
type lineFile struct {
	path string
	file *os.File
	out  *bufio.Writer
	done bool
}

func createLines(path string) (*lineFile, error) {
	f, err := os.Create(path + ".partial")
	if err != nil {
		return nil, fmt.Errorf("--out-dir: %w", err)
	}
	return &lineFile{path: path, file: f, out: bufio.NewWriterSize(f, 1<<18)}, nil
}

// line writes a record with its arrival. Errors stay in the writer until it is flushed.
func (l *lineFile) line(value []byte, arrived string) error {
	if n := len(value); n > 2 && value[0] == '{' && value[n-1] == '}' {
		_, _ = l.out.Write(value[:n-1])
		_, _ = l.out.WriteString(`,"arrived_at":"` + arrived + `"}`)
	} else {
		_, _ = l.out.Write(value)
	}
	return l.out.WriteByte('\n')
}

func (l *lineFile) finish() error {
	if err := errors.Join(l.out.Flush(), l.file.Close()); err != nil {
		return fmt.Errorf("--out-dir: %w", err)
	}
	l.done = true
	return os.Rename(l.path+".partial", l.path)
}

func (l *lineFile) discard() {
	if !l.done {
		_ = l.file.Close()
		_ = os.Remove(l.path + ".partial")
	}
}

// kafkaSink writes to the configured brokers with the arrivals as record times.
type kafkaSink struct{ producer *kafkalog.Producer }

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
	for _, t := range []struct {
		name       string
		partitions *int32
	}{{o.CallsTopic, &o.CallPartitions}, {o.EventsTopic, &o.EventPartitions}} {
		info, err := client.Topic(ctx, t.name)
		if err != nil {
			return nil, err
		}
		*t.partitions = int32(len(info.Partitions))
		if info.TimestampType == kafkalog.LogAppendTime {
			fmt.Fprintf(stderr, "tollstream: topic %s has message.timestamp.type=LogAppendTime: all "+
				"records arrive now, and what was generated as punctual will be late\n", t.name)
		}
	}
	producer, err := kafkalog.NewProducer(kafkalog.ProducerOptions{Brokers: cfg.Kafka.Brokers,
		Transport: transport, ClientID: cfg.Kafka.ClientID})
	if err != nil {
		return nil, err
	}
	return &kafkaSink{producer: producer}, nil
}

// Send writes records, each to its own partition, and waits for them.
func (s *kafkaSink) Send(ctx context.Context, records []generate.Record) error {
	out := make([]kafkalog.Outgoing, len(records))
	for i := range records {
		r := &records[i]
		out[i] = kafkalog.Outgoing{Topic: r.Topic, Fixed: true, Partition: int(r.Partition),
			Key: r.Key, Value: r.Value, Time: r.Arrived.Time()}
	}
	if len(out) == 0 {
		return nil
	}
	return s.producer.Produce(ctx, out...)
}

// Finish has nothing to do: Send has waited.
func (s *kafkaSink) Finish(*generate.Generator) error { return nil }

// Close ends the connections.
func (s *kafkaSink) Close() error { return s.producer.Close() }
