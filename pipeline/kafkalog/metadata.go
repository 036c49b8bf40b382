package kafkalog

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
)

const (
	// metadataVersion is the first flexible one in which topics have ids and names can be asked
	// for without creating them (Apache Kafka 3.1).
	metadataVersion = 12
	// metadataBytesMax bounds one answer; a topic with ten thousand partitions takes about 1 MiB.
	metadataBytesMax = 16 << 20

	metadataCorrelation int32 = 0x6d657461
)

// metadataRequest asks any broker about one topic, or about none for the cluster's id. kafka-go's
// own Metadata comes from a cache of up to six seconds and has no topic id.
type metadataRequest struct{ clientID, topic string }

type metadataResponse struct {
	clusterID string
	topics    []metadataTopic
}

type metadataTopic struct {
	code       int16
	name       string
	id         [16]byte
	partitions []int
}

var _ protocol.RawExchanger = (*metadataRequest)(nil)

// ApiKey names the API for kafka-go. The transport answers its own Metadata request from a cache,
// but it knows that one by its Go type, so this one goes to a broker.
func (r *metadataRequest) ApiKey() protocol.ApiKey { return protocol.Metadata }

// ApiKey names the API for kafka-go's routing.
func (r *metadataResponse) ApiKey() protocol.ApiKey { return protocol.Metadata }

// Required claims the exchange for RawExchange.
func (r *metadataRequest) Required(map[protocol.ApiKey]int16) bool { return true }

// metadata asks for one topic in the newest form the brokers know.
func (c *Client) metadata(ctx context.Context, topic string) (metadataResponse, error) {
	versions, err := c.kafka.ApiVersions(ctx, &kafka.ApiVersionsRequest{})
	if err != nil {
		return metadataResponse{}, err
	}
	for _, k := range versions.ApiKeys {
		if k.ApiKey == int(protocol.Metadata) && k.MaxVersion >= metadataVersion {
			answer, err := c.send(ctx, &metadataRequest{c.opts.ClientID, topic})
			if err != nil {
				return metadataResponse{}, err
			}
			return *answer.(*metadataResponse), nil
		}
	}
	return c.oldMetadata(ctx, topic)
}

// oldMetadata is kafka-go's: from its cache, without topic ids.
func (c *Client) oldMetadata(ctx context.Context, name string) (metadataResponse, error) {
	answer, err := c.kafka.Metadata(ctx, &kafka.MetadataRequest{})
	if err != nil {
		return metadataResponse{}, err
	}
	out := metadataResponse{clusterID: answer.ClusterID}
	for _, t := range answer.Topics {
		if t.Name != name {
			continue
		}
		topic := metadataTopic{name: t.Name}
		var code kafka.Error
		if errors.As(t.Error, &code) {
			topic.code = int16(code)
		}
		for _, p := range t.Partitions {
			topic.partitions = append(topic.partitions, p.ID)
		}
		out.topics = append(out.topics, topic)
	}
	return out, nil
}

// RawExchange sends the request and reads the answer on the connection lent by kafka-go.
func (r *metadataRequest) RawExchange(rw io.ReadWriter) (protocol.Message, error) {
	if _, err := rw.Write(r.encode()); err != nil {
		return nil, err
	}
	answer, err := readResponse(rw, metadataCorrelation, metadataBytesMax)
	if err != nil {
		return nil, err
	}
	c := &cursor{b: answer.b}
	out := decodeMetadata(c)
	if c.err != nil {
		return nil, fmt.Errorf("metadata: read response: %w", c.err)
	}
	return out, nil
}

func (r *metadataRequest) encode() []byte {
	b := make([]byte, 4, 128)
	b = appendHeader(b, int16(protocol.Metadata), metadataVersion, metadataCorrelation, r.clientID)
	b = append(b, 0) // header tags
	if r.topic == "" {
		b = append(b, 1) // an empty list: no topics
	} else {
		b = append(b, 2)
		b = append(b, make([]byte, 16)...) // topic id: asked for by name
		b = binary.AppendUvarint(b, uint64(len(r.topic))+1)
		b = append(b, r.topic...)
		b = append(b, 0)
	}
	b = append(b, 0, 0, 0) // no auto-creation, no authorized operations, tags
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	return b
}

// decodeMetadata reads version 12 and keeps what TopicInfo needs.
func decodeMetadata(c *cursor) *metadataResponse {
	out := &metadataResponse{}
	c.tags()  // response header
	c.int32() // throttle time
	for n := c.compactCount(11); n > 0 && c.err == nil; n-- {
		c.int32()
		c.compactString()
		c.int32()
		c.compactString()
		c.tags()
	}
	out.clusterID = c.compactString()
	c.int32() // controller
	for n := c.compactCount(26); n > 0 && c.err == nil; n-- {
		t := metadataTopic{code: c.int16(), name: c.compactString()}
		copy(t.id[:], c.take(16))
		c.take(1) // internal
		for p := c.compactCount(18); p > 0 && c.err == nil; p-- {
			c.int16() // a partition without leader is still a partition
			t.partitions = append(t.partitions, int(c.int32()))
			c.take(8) // leader and its epoch
			for range 3 {
				c.take(4 * c.compactCount(4)) // replicas, in-sync ones, offline ones
			}
			c.tags()
		}
		c.int32() // authorized operations
		c.tags()
		out.topics = append(out.topics, t)
	}
	c.tags()
	return out
}
