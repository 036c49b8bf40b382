package kafkalog

import (
	"encoding/binary"
	"fmt"
	"io"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
)

const (
	// fetchVersionMin is the first with record batches v2, the last stable offset and the
	// aborted list; Apache Kafka 4 supports nothing below it.
	fetchVersionMin = 4
	// fetchVersionMax leaves out version 11, which lets a leader send readers to a follower
	// instead of giving records; version 10 has all that is needed here, zstd included.
	fetchVersionMax = 10
	// responseSlack is how far an answer may exceed MaxBytes: a broker always gives one whole
	// batch, however large, so that a reader can make progress.
	responseSlack = batchBytesMax
	// readCommitted on the wire makes the broker stop at the last stable offset and send the
	// list of aborted transactions.
	readCommitted = 1
)

// fetchPart is one partition of a request; index says whose answer it is.
type fetchPart struct {
	index     int
	topic     string
	partition int32
	offset    int64
}

// fetchRequest is one read of several partitions. Split cuts it by leader; what goes over the
// wire is one of the cuts.
type fetchRequest struct {
	clientID     string
	maxWaitMs    int32
	minBytes     int32
	maxBytes     int32
	partMaxBytes int32
	parts        []fetchPart

	leader  protocol.Broker
	version int16
}

// fetchedPart is one partition's answer, or the reason why there is none. raw aliases the
// response buffer.
type fetchedPart struct {
	index         int
	err           error
	highWatermark int64
	lastStable    int64
	logStart      int64
	aborted       []abortedTxn
	raw           []byte
	answer        *buffer
}

// fetchResponse collects the answers of all leaders.
type fetchResponse struct{ parts []fetchedPart }

var (
	_ protocol.RawExchanger  = (*fetchRequest)(nil)
	_ protocol.BrokerMessage = (*fetchRequest)(nil)
	_ protocol.Splitter      = (*fetchRequest)(nil)
	_ protocol.Merger        = (*fetchResponse)(nil)
)

// ApiKey names the API for kafka-go's routing.
func (r *fetchRequest) ApiKey() protocol.ApiKey { return protocol.Fetch }

// ApiKey names the API for kafka-go's routing.
func (r *fetchResponse) ApiKey() protocol.ApiKey { return protocol.Fetch }

// Broker is the leader that Split chose.
func (r *fetchRequest) Broker(protocol.Cluster) (protocol.Broker, error) { return r.leader, nil }

// Split makes one request per leader. A partition without a leader fails by itself and does not
// hold up the others.
func (r *fetchRequest) Split(c protocol.Cluster) ([]protocol.Message, protocol.Merger, error) {
	if len(c.Brokers) == 0 {
		return nil, nil, errNoLayout
	}
	merged := &fetchResponse{}
	byLeader := map[int32]*fetchRequest{}
	var messages []protocol.Message
	for _, p := range r.parts {
		leader, err := leaderOf(c, p.topic, p.partition)
		if err != nil {
			merged.parts = append(merged.parts, fetchedPart{index: p.index, err: err})
			continue
		}
		cut := byLeader[leader.ID]
		if cut == nil {
			copied := *r
			cut = &copied
			cut.leader, cut.parts = leader, nil
			byLeader[leader.ID] = cut
			messages = append(messages, cut)
		}
		cut.parts = append(cut.parts, p)
	}
	return messages, merged, nil
}

// leaderOf finds the broker that leads a partition in kafka-go's layout.
func leaderOf(c protocol.Cluster, topic string, partition int32) (protocol.Broker, error) {
	t, ok := c.Topics[topic]
	if !ok {
		return protocol.Broker{}, protocol.NewErrNoTopic(topic)
	}
	p, ok := t.Partitions[partition]
	if !ok {
		return protocol.Broker{}, protocol.NewErrNoPartition(topic, partition)
	}
	b, ok := c.Brokers[p.Leader]
	if !ok {
		return protocol.Broker{}, protocol.NewErrNoLeader(topic, partition)
	}
	return b, nil
}

// Merge puts the leaders' answers together. A leader that failed fails its own partitions only.
func (r *fetchResponse) Merge(sent []protocol.Message, got []any) (protocol.Message, error) {
	for i, result := range got {
		message, err := protocol.Result(result)
		if err != nil {
			for _, p := range sent[i].(*fetchRequest).parts {
				r.parts = append(r.parts, fetchedPart{index: p.index, err: err})
			}
			continue
		}
		r.parts = append(r.parts, message.(*fetchResponse).parts...)
	}
	return r, nil
}

// Required claims the exchange for RawExchange and notes the version both sides speak.
func (r *fetchRequest) Required(versions map[protocol.ApiKey]int16) bool {
	r.version = min(versions[protocol.Fetch], fetchVersionMax)
	return true
}

// RawExchange sends the request and reads the answer on a connection that kafka-go lends for the
// time of the call. Any error makes kafka-go close that connection, so half-read answers are
// never taken for the next one.
func (r *fetchRequest) RawExchange(rw io.ReadWriter) (protocol.Message, error) {
	if r.version < fetchVersionMin {
		return nil, fmt.Errorf("fetch: the broker speaks Fetch up to v%d, v%d is needed "+
			"(Apache Kafka 0.11 or later)", r.version, fetchVersionMin)
	}
	if _, err := rw.Write(r.encode()); err != nil {
		return nil, err
	}
	answer, err := readResponse(rw, fetchCorrelation, int64(r.maxBytes)+responseSlack)
	if err != nil {
		return nil, err
	}
	out, err := r.decode(answer.b)
	if err != nil {
		return nil, err
	}
	answer.refs.Store(int32(len(out.parts)))
	for i := range out.parts {
		out.parts[i].answer = answer
	}
	return out, nil
}

// fetchCorrelation can be constant: kafka-go has one request at a time on a connection.
const fetchCorrelation int32 = 0x746f6c6c

// readResponse reads one framed answer whole, so that record bytes are copied from the socket
// once and then only pointed at.
func readResponse(r io.Reader, correlation int32, sizeMax int64) (*buffer, error) {
	var head [8]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	size := int64(int32(binary.BigEndian.Uint32(head[:4])))
	if got := int32(binary.BigEndian.Uint32(head[4:])); got != correlation {
		return nil, fmt.Errorf("read response: correlation id %d, want %d", got, correlation)
	}
	if size < 4 || size-4 > sizeMax {
		return nil, fmt.Errorf("read response: %d bytes announced, the limit is %d", size, sizeMax)
	}
	answer := newBuffer(int(size - 4))
	_, err := io.ReadFull(r, answer.b)
	return answer, err
}

// encode writes the whole frame. Sessions are not used (session epoch -1): each answer then
// stands alone and states the watermarks of every partition asked for.
func (r *fetchRequest) encode() []byte {
	b := make([]byte, 4, 128+64*len(r.parts))
	b = appendHeader(b, int16(protocol.Fetch), r.version, fetchCorrelation, r.clientID)
	b = appendInt32(b, -1) // replica id: a consumer
	b = appendInt32(b, r.maxWaitMs, r.minBytes, r.maxBytes)
	b = append(b, readCommitted)
	if r.version >= 7 {
		b = appendInt32(b, 0, -1)
	}
	topics := groupByTopic(r.parts)
	b = appendInt32(b, int32(len(topics)))
	for _, parts := range topics {
		b = appendString(b, parts[0].topic)
		b = appendInt32(b, int32(len(parts)))
		for _, p := range parts {
			b = appendInt32(b, p.partition)
			if r.version >= 9 {
				b = appendInt32(b, -1) // leader epoch: kafka-go's layout does not keep it
			}
			b = binary.BigEndian.AppendUint64(b, uint64(p.offset))
			if r.version >= 5 {
				b = binary.BigEndian.AppendUint64(b, ^uint64(0)) // log start: for followers only
			}
			b = appendInt32(b, r.partMaxBytes)
		}
	}
	if r.version >= 7 {
		b = appendInt32(b, 0) // forgotten topics
	}
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	return b
}

// groupByTopic keeps the order of first appearance: a broker fills partitions in request order.
func groupByTopic(parts []fetchPart) [][]fetchPart {
	at := map[string]int{}
	var groups [][]fetchPart
	for _, p := range parts {
		i, ok := at[p.topic]
		if !ok {
			i = len(groups)
			at[p.topic] = i
			groups = append(groups, nil)
		}
		groups[i] = append(groups[i], p)
	}
	return groups
}

// decode reads the body that encode's version asked for.
func (r *fetchRequest) decode(body []byte) (*fetchResponse, error) {
	c := &cursor{b: body}
	c.int32() // throttle time: the broker has already waited
	if r.version >= 7 {
		if code := c.int16(); code != 0 {
			return nil, fmt.Errorf("fetch: %w", kafka.Error(code))
		}
		c.int32() // session id
	}
	type key struct {
		topic     string
		partition int32
	}
	asked := make(map[key]int, len(r.parts))
	for _, p := range r.parts {
		asked[key{p.topic, p.partition}] = p.index
	}
	out := &fetchResponse{parts: make([]fetchedPart, 0, len(r.parts))}
	for topics := c.count(6); topics > 0 && c.err == nil; topics-- {
		topic := c.string()
		for n := c.count(30); n > 0 && c.err == nil; n-- {
			partition, part := r.decodePart(c)
			index, ok := asked[key{topic, partition}]
			if c.err != nil || !ok {
				continue
			}
			delete(asked, key{topic, partition})
			part.index = index
			out.parts = append(out.parts, part)
		}
	}
	if c.err != nil {
		return nil, fmt.Errorf("fetch: read response: %w", c.err)
	}
	full := len(out.parts) > 0 // then there was no room for those that are left out
	for _, index := range asked {
		part := fetchedPart{index: index, highWatermark: -1, lastStable: -1, logStart: -1}
		if !full {
			part.err = fmt.Errorf("fetch: the broker left the partition out: %w", kafka.Unknown)
		}
		out.parts = append(out.parts, part)
	}
	return out, nil
}

// decodePart reads one partition of the answer.
func (r *fetchRequest) decodePart(c *cursor) (int32, fetchedPart) {
	partition := c.int32()
	part := fetchedPart{logStart: -1}
	if code := c.int16(); code != 0 {
		part.err = kafka.Error(code)
	}
	part.highWatermark = c.int64()
	part.lastStable = c.int64()
	if r.version >= 5 {
		part.logStart = c.int64()
	}
	for n := c.count(16); n > 0 && c.err == nil; n-- {
		txn := abortedTxn{producerID: c.int64(), first: c.int64()}
		part.aborted = append(part.aborted, txn)
	}
	part.raw = c.bytes()
	return partition, part
}
