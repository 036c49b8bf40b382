package kafkalog

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
)

const (
	// requestTimeout bounds one request beyond the wait it asks the broker for, so that a dead
	// connection is noticed.
	requestTimeout = 30 * time.Second
	// refreshEvery keeps many partitions that fail at once from asking for metadata in turn.
	refreshEvery = 100 * time.Millisecond
	// metadataEvery replaces kafka-go's six seconds, at which every client would ask for all topics
	// about every three: what changes shows as a refusal, and a refusal refreshes.
	metadataEvery = time.Minute
	// unknownTriesMax bounds the wait for a topic just created to be known by all brokers; with
	// the delays between tries that is about a second.
	unknownTriesMax = 7
)

// Options say where the cluster is and how to read it. Zero values take the defaults named here.
type Options struct {
	// Brokers are bootstrap addresses, host:port. Required.
	Brokers []string
	// Transport gives Dial, TLS, SASL, Resolver and timeouts. Its fields are copied into a
	// transport of the client's own, so that a refresh of metadata disturbs nobody else.
	Transport *kafka.Transport
	// ClientID is what brokers log and meter by; default "tollstream".
	ClientID string
	// MaxWait is how long a broker may hold a fetch that has less than MinBytes; default 500 ms.
	MaxWait time.Duration
	// MinBytes default 1.
	MinBytes int
	// MaxBytes bounds an answer of one leader; default 32 MiB. One batch may exceed it.
	MaxBytes int
	// MaxPartitionBytes bounds one partition's share of an answer; default 4 MiB.
	MaxPartitionBytes int
	// RetryFor bounds all tries of one call; default 15 s, longer than an ordinary election.
	RetryFor time.Duration
	// Failed, if not nil, hears of each try that failed, and whether waiting can cure it.
	Failed func(passes bool)
}

// withDefaults fills in what was left out.
func (o Options) withDefaults() Options {
	setDefault(&o.ClientID, "tollstream")
	setDefault(&o.MaxWait, 500*time.Millisecond)
	setDefault(&o.MinBytes, 1)
	setDefault(&o.MaxBytes, 32<<20)
	setDefault(&o.MaxPartitionBytes, 4<<20)
	setDefault(&o.RetryFor, 15*time.Second)
	return o
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Validate reports every fault of the options.
func (o Options) Validate() error {
	o = o.withDefaults()
	var faults []error
	if len(o.Brokers) == 0 {
		faults = append(faults, errors.New("no broker addresses: give at least one host:port"))
	}
	for _, b := range o.Brokers {
		if _, _, err := net.SplitHostPort(b); err != nil {
			faults = append(faults, fmt.Errorf("broker address %q: want host:port", b))
		}
	}
	if o.MaxWait < 0 || o.MaxWait > time.Hour || o.RetryFor < 0 {
		faults = append(faults, fmt.Errorf("MaxWait %v and RetryFor %v: want 0 to 1 h, and no "+
			"negative time", o.MaxWait, o.RetryFor))
	}
	for _, n := range []int{o.MinBytes, o.MaxBytes, o.MaxPartitionBytes} {
		if n < 0 || n > math.MaxInt32 {
			faults = append(faults, fmt.Errorf("byte limit %d: want 1 to %d", n, math.MaxInt32))
		}
	}
	if len(o.ClientID) > math.MaxInt16 {
		faults = append(faults, errors.New("ClientID: longer than 32767 bytes"))
	}
	return errors.Join(faults...)
}

// Client reads logs. It is safe for concurrent use; a fetch holds one connection to each leader
// it asks, so concurrent fetches do not queue behind each other.
type Client struct {
	opts      Options
	addr      net.Addr
	transport *kafka.Transport
	kafka     *kafka.Client
	turn      atomic.Uint64 // which position a fetch of many begins with

	mu        sync.Mutex
	refreshed time.Time
}

// New checks the options; it connects to nothing.
func New(o Options) (*Client, error) {
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("kafkalog options: %w", err)
	}
	o = o.withDefaults()
	c := &Client{opts: o, addr: kafka.TCP(o.Brokers...), transport: ownTransport(o)}
	setDefault(&c.transport.MetadataTTL, metadataEvery)
	c.kafka = &kafka.Client{Addr: c.addr, Transport: c.transport, Timeout: requestTimeout}
	return c, nil
}

// ownTransport copies the settings of the caller's transport.
func ownTransport(o Options) *kafka.Transport {
	own := &kafka.Transport{ClientID: o.ClientID}
	if t := o.Transport; t != nil {
		own.Dial, own.DialTimeout, own.IdleTimeout = t.Dial, t.DialTimeout, t.IdleTimeout
		own.MetadataTTL, own.MetadataTopics = t.MetadataTTL, t.MetadataTopics
		own.TLS, own.SASL, own.Resolver, own.Context = t.TLS, t.SASL, t.Resolver, t.Context
	}
	return own
}

// Dialer makes from a transport's settings what GroupOptions need, so that TLS and SASL are
// written down once. nil gives nil.
func Dialer(t *kafka.Transport) *kafka.Dialer {
	if t == nil {
		return nil
	}
	return &kafka.Dialer{ClientID: t.ClientID, DialFunc: t.Dial, Timeout: 10 * time.Second,
		TLS: t.TLS, SASLMechanism: t.SASL}
}

// Close ends the idle connections and the background refresh of metadata. Calls under way finish.
func (c *Client) Close() { c.transport.CloseIdleConnections() }

// refresh makes the next request learn the cluster's layout anew. kafka-go has no call for that,
// but forgetting its pool has the effect; requests under way keep the old one.
func (c *Client) refresh() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := time.Now(); now.Sub(c.refreshed) >= refreshEvery {
		c.refreshed = now
		c.transport.CloseIdleConnections()
	}
}

// send does one exchange within its bound. An empty layout is replaced by its cause.
func (c *Client) send(ctx context.Context, m protocol.Message) (protocol.Message, error) {
	ctx, cancel := context.WithTimeout(ctx, c.opts.MaxWait+requestTimeout)
	defer cancel()
	answer, err := c.transport.RoundTrip(ctx, c.addr, m)
	if errors.Is(err, errNoLayout) {
		if _, cause := c.kafka.Metadata(ctx, &kafka.MetadataRequest{}); cause != nil {
			return nil, cause
		}
	}
	return answer, err
}

// retry runs op until it succeeds, fails for good, or the bounds are reached; between tries the
// metadata is refreshed. The error is then one of this package's types or the context's. An empty
// topic means that op itself bounds how often a topic may be unknown.
func (c *Client) retry(ctx context.Context, what, topic string, op func() error) error {
	delay := backoff.NewExponentialBackOff()
	delay.InitialInterval, delay.MaxInterval = 50*time.Millisecond, 2*time.Second
	unknown := 0
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		err := op()
		if topic != "" && unknownTopic(err) {
			unknown++
		}
		if err != nil && ctx.Err() == nil && c.opts.Failed != nil {
			c.opts.Failed(retriable(err))
		}
		if err != nil && (!retriable(err) || unknown >= unknownTriesMax) {
			return struct{}{}, backoff.Permanent(err)
		}
		return struct{}{}, err
	}, backoff.WithBackOff(delay), backoff.WithMaxElapsedTime(c.opts.RetryFor),
		backoff.WithNotify(func(error, time.Duration) { c.refresh() }))
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", what, context.Cause(ctx))
	}
	return typed(what, topic, c.opts.Brokers, err)
}
