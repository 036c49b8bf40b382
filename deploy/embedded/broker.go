package embedded

import (
	"context"
	"errors"
	"fmt"
	"net"
	"regexp"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// brokerSetupMax bounds the creation of topics at start; it is local and takes milliseconds.
const brokerSetupMax = 10 * time.Second

// offsetsRetentionMinutes is 100 years: a developer who comes back after a week goes on where the
// pipeline stopped.
const offsetsRetentionMinutes = "52560000"

// topicName is Kafka's own rule; kfake lets any name through.
var topicName = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,249}$`)

// Topic is a topic that must exist once the broker is up.
type Topic struct {
	Name       string
	Partitions int
	Configs    map[string]string
}

// BrokerOptions says where the broker listens and keeps its records.
type BrokerOptions struct {
	// Listen is host:port on loopback. Port 0 takes a free port.
	Listen string
	// Advertise is the host:port that clients are told to come back to, where a proxy stands between
	// them and Listen; empty is Listen.
	Advertise string
	// DataDir holds records, topics and committed offsets. One process at a time may use it.
	DataDir string
	// SyncWrites has every produced batch reach the disk before it is acknowledged. Without it
	// records survive kill -9 of the process but not a loss of power.
	SyncWrites bool
	// User and Password are what clients must present by SCRAM-SHA-256 or -512. Without a Password
	// everyone on this machine is let in.
	User, Password string
	// Topics are created when missing. A topic that exists is kept as it is.
	Topics []Topic
}

// Broker is a running Kafka broker.
type Broker struct {
	cluster *kfake.Cluster
	lock    *folderLock
	address string
	once    sync.Once
}

// StartBroker starts a broker of one node and returns when its topics exist.
//
// Timestamps are those of the producer: the log.message.timestamp.type setting LogAppendTime is
// accepted and has no effect. Nothing is ever dropped by age or size, and the retention settings
// of Topics are left out: kfake compares the producer's timestamps, which may be simulated and
// long past, with the clock of this machine, and would delete such records within the hour.
func StartBroker(options BrokerOptions) (*Broker, error) {
	listener, err := listenLoopback("Kafka", options.Listen)
	if err != nil {
		return nil, err
	}
	lock, err := lockFolder(options.DataDir)
	if err != nil {
		_ = listener.Close()
		return nil, fmt.Errorf("start Kafka: %w", err)
	}
	cluster, err := kfake.NewCluster(brokerConfig(options, listener)...)
	if err != nil {
		_ = listener.Close()
		lock.release()
		return nil, fmt.Errorf("start Kafka on data folder %s: %w: "+
			"restore the folder, or choose an empty one", options.DataDir, err)
	}
	broker := &Broker{cluster: cluster, lock: lock, address: listener.Addr().String()}
	if err := broker.createTopics(options); err != nil {
		return nil, errors.Join(err, broker.Close())
	}
	return broker, nil
}

// brokerConfig hands kfake the listener that is already open, so that a bad or busy address was
// reported in our words, and so that no other process can take the port in between.
func brokerConfig(options BrokerOptions, listener net.Listener) []kfake.Opt {
	if options.Advertise != "" {
		listener = advertised{listener, options.Advertise}
	}
	config := []kfake.Opt{
		kfake.NumBrokers(1),
		kfake.ClusterID("tollstream-embedded"),
		kfake.DataDir(options.DataDir),
		kfake.BrokerConfigs(map[string]string{
			"log.retention.ms":          "-1",
			"log.retention.bytes":       "-1",
			"offsets.retention.minutes": offsetsRetentionMinutes,
			// Processes on one machine may be missed sooner than Kafka's 6 s.
			"group.min.session.timeout.ms": "1000",
		}),
		kfake.ListenFn(func(string, string) (net.Listener, error) { return listener, nil }),
	}
	if options.Password != "" {
		config = append(config, kfake.EnableSASL(),
			kfake.Superuser("SCRAM-SHA-256", options.User, options.Password),
			kfake.Superuser("SCRAM-SHA-512", options.User, options.Password))
	}
	if options.SyncWrites {
		config = append(config, kfake.SyncWrites())
	}
	return config
}

// advertised is a listener under the address that clients know; kfake tells them what Addr says.
type advertised struct {
	net.Listener
	address string
}

// Addr gives the address that clients know.
func (a advertised) Addr() net.Addr { return hostPort(a.address) }

type hostPort string

func (hostPort) Network() string  { return "tcp" }
func (h hostPort) String() string { return string(h) }

func (b *Broker) createTopics(options BrokerOptions) error {
	topics := options.Topics
	if len(topics) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), brokerSetupMax)
	defer cancel()
	config := []kgo.Opt{kgo.SeedBrokers(b.address),
		kgo.Dialer(func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, b.address) // not what is advertised
		})}
	if options.Password != "" {
		login := scram.Auth{User: options.User, Pass: options.Password}
		config = append(config, kgo.SASL(login.AsSha256Mechanism()))
	}
	client, err := kgo.NewClient(config...)
	if err != nil {
		return fmt.Errorf("connect to the embedded Kafka: %w", err)
	}
	defer client.Close()
	request := kmsg.NewCreateTopicsRequest()
	for _, topic := range topics {
		if !topicName.MatchString(topic.Name) || topic.Partitions < 1 {
			return fmt.Errorf("create topic %q with %d partitions: a topic needs a name of letters, "+
				"digits, '.', '_' or '-', and at least one partition", topic.Name, topic.Partitions)
		}
		wanted := kmsg.NewCreateTopicsRequestTopic()
		wanted.Topic = topic.Name
		wanted.NumPartitions = int32(topic.Partitions)
		wanted.ReplicationFactor = 1
		for name, value := range topic.Configs {
			if name == "retention.ms" || name == "retention.bytes" {
				continue // see StartBroker
			}
			config := kmsg.NewCreateTopicsRequestTopicConfig()
			config.Name, config.Value = name, &value
			wanted.Configs = append(wanted.Configs, config)
		}
		request.Topics = append(request.Topics, wanted)
	}
	response, err := request.RequestWith(ctx, client)
	if err != nil {
		return fmt.Errorf("create topics on the embedded Kafka: %w", err)
	}
	var faults []error
	for _, topic := range response.Topics {
		err := kerr.ErrorForCode(topic.ErrorCode)
		if err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
			faults = append(faults, fmt.Errorf("create topic %q: %w", topic.Topic, err))
		}
	}
	return errors.Join(faults...)
}

// Addr is the host:port on which the broker listens.
func (b *Broker) Addr() string { return b.address }

// Freeze leaves who reads a partition without an answer, as a broker does whose disk hangs. It
// returns once somebody waits for one, and thaw ends it: who waits comes back after a timeout of
// its own.
func (b *Broker) Freeze(ctx context.Context, topic string, partition int) (thaw func(), err error) {
	var over atomic.Bool
	waits := make(chan struct{})
	var first sync.Once
	b.cluster.ControlKey(kmsg.Fetch.Int16(), func(r kmsg.Request) (kmsg.Response, error, bool) {
		if over.Load() {
			b.cluster.DropControl()
			return nil, nil, false
		}
		if !asksFor(r.(*kmsg.FetchRequest), topic, int32(partition)) {
			return nil, nil, false
		}
		b.cluster.KeepControl()
		first.Do(func() { close(waits) })
		return nil, nil, true
	})
	thaw = func() { over.Store(true) }
	select {
	case <-waits:
		return thaw, nil
	case <-ctx.Done():
		thaw()
		return nil, fmt.Errorf("freeze %s/%d: nobody reads it: %w", topic, partition, ctx.Err())
	}
}

func asksFor(r *kmsg.FetchRequest, topic string, partition int32) bool {
	return slices.ContainsFunc(r.Topics, func(t kmsg.FetchRequestTopic) bool {
		return t.Topic == topic && slices.ContainsFunc(t.Partitions,
			func(p kmsg.FetchRequestTopicPartition) bool { return p.Partition == partition })
	})
}

// Close saves the state and frees the port and the folder. It may be called more than once.
func (b *Broker) Close() error {
	b.once.Do(func() {
		b.cluster.Close()
		b.lock.release()
	})
	return nil
}
