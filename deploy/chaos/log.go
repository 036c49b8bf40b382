package chaos

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"

	"tollstream/pipeline/batch"
	"tollstream/pipeline/billing"
	"tollstream/pipeline/kafkalog"
)

// inLog is what stands in the input topics once everything is over: it is what counts.
type inLog struct {
	records []batch.Record // below the last closing's barriers, in the order of arrival
	values  map[place][]byte
	beyond  map[string]bool // places beyond those barriers
}

// readLog reads the input topics from the broker, up to a last closing.
func (w *world) readLog(ctx context.Context, until billing.Instant) (*inLog, error) {
	client, err := kafkalog.New(kafkalog.Options{Brokers: []string{w.kafka.addr()}})
	if err != nil {
		return nil, err
	}
	defer client.Close()
	l := &inLog{values: map[place][]byte{}, beyond: map[string]bool{}}
	for _, topic := range []string{eventsTopic, callsTopic} {
		info, err := client.Topic(ctx, topic)
		if err != nil {
			return nil, err
		}
		for _, p := range info.Partitions {
			if err := l.readPartition(ctx, client, topic, p, until); err != nil {
				return nil, err
			}
		}
	}
	// Events come first among records of one instant, as in pipeline/batch.
	slices.SortStableFunc(l.records, func(a, b batch.Record) int {
		return cmp.Or(cmp.Compare(a.Arrival.Appended, b.Arrival.Appended),
			cmp.Compare(a.Kind, b.Kind), a.Arrival.Compare(b.Arrival))
	})
	return l, nil
}

func (l *inLog) readPartition(
	ctx context.Context, client *kafkalog.Client, topic string, partition int,
	until billing.Instant,
) error {
	kind := batch.CallRecord
	if topic == eventsTopic {
		kind = batch.EventRecord
	}
	newest := billing.Instant(0)
	return eachRecord(ctx, client, topic, partition, func(r *kafkalog.Record) {
		// A send that was repeated may stand behind later ones with its old time. Where a record is
		// in the log decides, so it arrives when what stands before it did.
		newest = max(newest, billing.InstantOf(r.AppendTime))
		at := billing.Arrival{Appended: newest, Topic: topic, Partition: int32(partition),
			Offset: r.Offset}
		value := bytes.Clone(r.Value)
		l.values[place{topic, int32(partition), r.Offset}] = value
		if newest >= until {
			l.beyond[at.Place()] = true
			return
		}
		l.records = append(l.records, batch.Record{Kind: kind, Value: value, Arrival: at})
	})
}

// eachRecord reads a partition from its beginning to where it ends now.
func eachRecord(
	ctx context.Context, client *kafkalog.Client, topic string, partition int,
	each func(*kafkalog.Record),
) error {
	next, high, _, err := client.Offsets(ctx, topic, partition)
	for err == nil && next < high {
		var got kafkalog.Fetched
		if got, err = client.Fetch(ctx, topic, partition, next); err == nil {
			for i := range got.Records {
				each(&got.Records[i])
			}
			next = got.Next
		}
	}
	if err != nil {
		return fmt.Errorf("read %s/%d: %w", topic, partition, err)
	}
	return nil
}

// isWhatWasSent checks that every acknowledged record stands where the broker said that it does,
// and that every other one is of a send whose outcome was not known.
func (l *inLog) isWhatWasSent(f *feed) error {
	var faults []error
	for at, sum := range f.acked {
		if value, there := l.values[at]; !there || sha256.Sum256(value) != sum {
			faults = append(faults, fmt.Errorf("%s/%d offset %d was acknowledged and is not that record",
				at.topic, at.partition, at.offset))
		}
	}
	unknown := maps.Clone(f.unknown)
	for at, value := range l.values {
		if _, there := f.acked[at]; there {
			continue
		}
		sum := digest(sha256.Sum256(value))
		if unknown[sum]--; unknown[sum] < 0 {
			faults = append(faults, fmt.Errorf("%s/%d offset %d is a record that was not sent so often",
				at.topic, at.partition, at.offset))
		}
	}
	return errors.Join(faults...)
}

// published reads the bills topic: the different texts of each bill.
func (w *world) published(ctx context.Context) (map[string][]string, error) {
	client, err := kafkalog.New(kafkalog.Options{Brokers: []string{w.kafka.addr()}})
	if err != nil {
		return nil, err
	}
	defer client.Close()
	bills := map[string][]string{}
	err = eachRecord(ctx, client, billsTopic, 0, func(r *kafkalog.Record) {
		id := billID(r.Value)
		if text := string(r.Value); !slices.Contains(bills[id], text) {
			bills[id] = append(bills[id], text)
		}
	})
	return bills, err
}
