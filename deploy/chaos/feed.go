package chaos

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/catalog"
	"tollstream/pipeline/closing"
	"tollstream/pipeline/generate"
)

// feed sends generated records to Kafka, each partition on its own, some records together and one
// batch after another. Every record is repeated until it is acknowledged, save calls whose outcome
// is unknown, some of which are given up: they may stand in the log or not.
//
// Another client than the pipeline's sends them, since the producers are not ours either.
type feed struct {
	client *kgo.Client
	line   *timeline
	queues []*queue
	total  int
	until  billing.Instant // the last closing, after the last record
	first  billing.Day     // the first day that is closed

	share atomic.Int64 // how much may be sent by now, of shareWhole
	sent  atomic.Int64 // records

	mu      sync.Mutex
	acked   map[place]digest // what every acknowledged record is
	unknown map[digest]int   // by value, how many sends had an unknown outcome
	givenUp int              // records
}

// queue is what a partition is to get, in the order of arrival.
type queue struct {
	topic     string
	partition int32
	records   []generate.Record
}

// place names an offset of the log.
type place struct {
	topic     string
	partition int32
	offset    int64
}

// digest is the SHA-256 of a record's value.
type digest [sha256.Size]byte

const shareWhole = 1_000_000

// newFeed makes all records. At every close time each partition has a record of exactly that time,
// so that closings become due as records come in.
func newFeed(o generate.Options, cat *catalog.Catalog) (*feed, error) {
	o.Catalog, o.CallsTopic, o.EventsTopic = cat, callsTopic, eventsTopic
	o.CallPartitions, o.EventPartitions = callPartitions, eventPartitions
	g, err := generate.New(o)
	if err != nil {
		return nil, err
	}
	f := &feed{first: g.FirstClosing(), acked: map[place]digest{},
		unknown: map[digest]int{}}
	for p := range int32(callPartitions) {
		f.queues = append(f.queues, &queue{topic: callsTopic, partition: p})
	}
	f.queues = append(f.queues, &queue{topic: eventsTopic})
	due := closing.MomentOf(cat, f.first)
	for r := range g.Records() {
		for ; due.At <= r.Arrived; due = closing.MomentOf(cat, due.Day+1) {
			f.tick(due)
		}
		n := int(r.Partition)
		if r.Topic == eventsTopic {
			n = callPartitions
		}
		f.queues[n].records = append(f.queues[n].records, r)
	}
	f.until = due.At
	f.tick(due)
	for _, q := range f.queues {
		f.total += len(q.records)
	}
	return f, nil
}

const tickStart = `{"tick":`

// tick is a record in every partition at a close time. It is neither a call nor an event.
func (f *feed) tick(m closing.Moment) {
	for _, q := range f.queues {
		q.records = append(q.records, generate.Record{Topic: q.topic, Partition: q.partition,
			Value: fmt.Appendf(nil, tickStart+"%q}", m.Day), Arrived: m.At})
	}
}

func isTick(r generate.Record) bool { return bytes.HasPrefix(r.Value, []byte(tickStart)) }

// connect gets the feed ready to send. Nothing is repeated by the client itself.
func (f *feed) connect(address string, line *timeline) (err error) {
	f.line = line
	f.client, err = kgo.NewClient(kgo.SeedBrokers(address), kgo.DisableIdempotentWrite(),
		kgo.RequiredAcks(kgo.AllISRAcks()), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.RecordRetries(0), kgo.ProduceRequestTimeout(time.Second),
		kgo.RequestTimeoutOverhead(time.Second), kgo.MetadataMinAge(100*time.Millisecond),
		kgo.ProducerLinger(0))
	return err
}

const (
	// sendMax is how long a send may stay without an outcome.
	sendMax = 4 * time.Second
	// sendPause is between two sends, so that a broker that is away is not asked in a loop.
	sendPause = 5 * time.Millisecond
)

// run sends everything, as fast as share lets it, until the context ends.
func (f *feed) run(ctx context.Context, seed uint64) {
	defer f.client.Close()
	var all sync.WaitGroup
	for i, q := range f.queues {
		random := rand.New(rand.NewPCG(seed, uint64(i)))
		all.Go(func() { f.partition(ctx, random, q.records) })
	}
	all.Wait()
	f.line.note("everything is sent")
}

// batchLeast and batchMost bound the records of a batch; large feeds have larger ones.
const batchLeast = 10

func (f *feed) batchMost() int { return max(100, f.total/2_000) }

// partition sends one partition's records. Those of one batch are in disorder and have one time,
// the last one's, so that the log's times do not decrease, whatever has to be repeated. A close
// time is the end of a batch.
func (f *feed) partition(ctx context.Context, random *rand.Rand, records []generate.Record) {
	for len(records) > 0 && ctx.Err() == nil {
		n := min(len(records), batchLeast+random.IntN(f.batchMost()-batchLeast))
		if end := slices.IndexFunc(records[:n], isTick); end >= 0 {
			n = end + 1
		}
		batch := slices.Clone(records[:n])
		stamp := batch[n-1].Arrived.Time()
		if batch[0].Topic == callsTopic {
			random.Shuffle(n, func(i, j int) { batch[i], batch[j] = batch[j], batch[i] })
		}
		for len(batch) > 0 && ctx.Err() == nil {
			time.Sleep(sendPause)
			if f.sent.Load()*shareWhole > f.share.Load()*int64(f.total) {
				continue
			}
			batch = f.send(ctx, random, batch, stamp)
		}
		f.sent.Add(int64(n))
		records = records[n:]
	}
}

// send sends records and gives back those that have to be sent again.
func (f *feed) send(
	ctx context.Context, random *rand.Rand, batch []generate.Record, stamp time.Time,
) (again []generate.Record) {
	records := make([]*kgo.Record, len(batch))
	of := make(map[*kgo.Record]*generate.Record, len(batch))
	for i := range batch {
		r := &batch[i]
		records[i] = &kgo.Record{Topic: r.Topic, Partition: r.Partition, Key: r.Key,
			Value: r.Value, Timestamp: stamp}
		of[records[i]] = r
	}
	giveUp := random.IntN(4) == 0
	limit, cancel := context.WithTimeout(ctx, sendMax)
	defer cancel()
	results := f.client.ProduceSync(limit, records...)
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, result := range results {
		r := of[result.Record]
		value := digest(sha256.Sum256(r.Value))
		if result.Err == nil {
			f.acked[place{r.Topic, r.Partition, result.Record.Offset}] = value
			continue
		}
		f.unknown[value]++
		if giveUp && r.Topic == callsTopic && !isTick(*r) {
			f.givenUp++
		} else {
			again = append(again, *r)
		}
	}
	if err := results.FirstErr(); err != nil {
		f.line.did("send of unknown outcome",
			fmt.Sprintf("%d records, %d again: %v", len(batch), len(again), err))
	}
	return again
}
