package embedded

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
)

func startBroker(t *testing.T, options BrokerOptions) *Broker {
	t.Helper()
	broker, err := StartBroker(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = broker.Close() })
	return broker
}

// produce writes n records with the timestamps of a simulated clock, as the pipeline's tools do.
func produce(t *testing.T, address, topic string, from, n int) {
	t.Helper()
	writer := &kafka.Writer{Addr: kafka.TCP(address), Topic: topic, BatchSize: 500,
		BatchTimeout: 5 * time.Millisecond, RequiredAcks: kafka.RequireAll,
		Balancer: &kafka.Hash{},
		// The shared transport would remember the topics from before a restart.
		Transport: &kafka.Transport{}}
	defer func() { _ = writer.Close() }()
	messages := make([]kafka.Message, 0, n)
	for i := from; i < from+n; i++ {
		messages = append(messages, kafka.Message{Key: []byte(strconv.Itoa(i)),
			Value: fmt.Appendf(nil, `{"n":%d}`, i), Time: simulated.Add(time.Duration(i) * time.Second)})
	}
	if err := writer.WriteMessages(t.Context(), messages...); err != nil {
		t.Fatal(err)
	}
}

var simulated = time.Date(2026, 1, 31, 23, 0, 0, 0, time.UTC)

// consume reads every record of a partition with the low-level connection.
func consume(t *testing.T, address, topic string, partition int) map[string]time.Time {
	t.Helper()
	conn, err := kafka.DialLeader(t.Context(), "tcp", address, topic, partition)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	first, last, err := conn.ReadOffsets()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Seek(first, kafka.SeekAbsolute); err != nil {
		t.Fatal(err)
	}
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	records := map[string]time.Time{}
	for offset := first; offset < last; offset++ {
		message, err := conn.ReadMessage(1 << 20)
		if err != nil {
			t.Fatalf("offset %d of %d: %v", offset, last, err)
		}
		records[string(message.Value)] = message.Time
	}
	return records
}

// TestBrokerBehindAProxy: clients come back to the address that the broker advertises.
func TestBrokerBehindAProxy(t *testing.T) {
	broker := startBroker(t, BrokerOptions{Listen: "127.0.0.1:0", DataDir: t.TempDir(),
		Advertise: "127.0.0.1:4242", Topics: []Topic{{Name: "calls", Partitions: 1}}})
	conn, err := kafka.DialContext(t.Context(), "tcp", broker.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	brokers, err := conn.Brokers()
	if err != nil || len(brokers) != 1 || brokers[0].Host != "127.0.0.1" || brokers[0].Port != 4242 {
		t.Errorf("clients are told %+v, %v", brokers, err)
	}
}

// TestBrokerKeepsRecordsAndOffsets stops the broker and starts it on the same folder and port, as
// a developer does from one day to the next.
func TestBrokerKeepsRecordsAndOffsets(t *testing.T) {
	dir := t.TempDir()
	topics := []Topic{{Name: "calls", Partitions: 2,
		Configs: map[string]string{"message.timestamp.type": "LogAppendTime",
			"retention.ms": "1000"}}}
	broker := startBroker(t, BrokerOptions{Listen: "127.0.0.1:0", DataDir: dir, Topics: topics})
	address := broker.Addr()
	produce(t, address, "calls", 0, 1000)
	readInGroup(t, address, 400)
	broker.cluster.ApplyRetention() // the records are months old and must stay all the same
	if err := broker.Close(); err != nil {
		t.Fatal(err)
	}

	topics = append(topics, Topic{Name: "rejects", Partitions: 1})
	broker = startBroker(t, BrokerOptions{Listen: address, DataDir: dir, Topics: topics})
	if broker.Addr() != address {
		t.Fatalf("listens on %s, want %s", broker.Addr(), address)
	}
	records := consume(t, address, "calls", 0)
	for value, at := range consume(t, address, "calls", 1) {
		records[value] = at
	}
	if len(records) != 1000 {
		t.Fatalf("%d records are left of 1000", len(records))
	}
	if got, want := records[`{"n":7}`], simulated.Add(7*time.Second); !got.Equal(want) {
		t.Errorf("timestamp %s, want the producer's %s", got, want)
	}
	if got := readInGroup(t, address, 600); got != 600 {
		t.Errorf("the group read %d records after the restart, want the 600 it had not", got)
	}
	produce(t, address, "rejects", 0, 1)
	produce(t, address, "calls", 1000, 10)
}

// readInGroup reads and commits n records.
func readInGroup(t *testing.T, address string, n int) int {
	t.Helper()
	reader := kafka.NewReader(kafka.ReaderConfig{Brokers: []string{address}, GroupID: "meter",
		Topic: "calls", StartOffset: kafka.FirstOffset, MaxWait: 100 * time.Millisecond,
		HeartbeatInterval: 100 * time.Millisecond})
	defer func() { _ = reader.Close() }()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	read := 0
	var last []kafka.Message
	for read < n {
		message, err := reader.FetchMessage(ctx)
		if err != nil {
			t.Fatalf("after %d records: %v", read, err)
		}
		last = append(last, message)
		read++
	}
	if err := reader.CommitMessages(ctx, last...); err != nil {
		t.Fatal(err)
	}
	short, cancelShort := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancelShort()
	if _, err := reader.FetchMessage(short); err == nil && n == 600 {
		read++ // a record too many: the committed offsets were lost
	}
	return read
}

func TestBrokerSaysWhatIsWrong(t *testing.T) {
	dir := t.TempDir()
	running := startBroker(t, BrokerOptions{Listen: "127.0.0.1:0", DataDir: dir, SyncWrites: true})
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	anyPort := "127.0.0.1:0"
	pid := strconv.Itoa(os.Getpid())
	for name, c := range map[string]struct {
		options BrokerOptions
		want    string
	}{
		"folder in use":  {BrokerOptions{Listen: anyPort, DataDir: dir}, "in use by process " + pid},
		"port in use":    {BrokerOptions{Listen: running.Addr(), DataDir: t.TempDir()}, "is in use"},
		"other machines": {BrokerOptions{Listen: "0.0.0.0:0", DataDir: t.TempDir()}, "not loopback"},
		"no port":        {BrokerOptions{Listen: "127.0.0.1", DataDir: t.TempDir()}, "not host:port"},
		"bad port":       {BrokerOptions{Listen: "127.0.0.1:x", DataDir: t.TempDir()}, "has no port"},
		"folder is file": {BrokerOptions{Listen: anyPort, DataDir: file}, "cannot be created"},
		"no folder":      {BrokerOptions{Listen: anyPort}, "not set"},
		"bad topic": {BrokerOptions{Listen: "127.0.0.1:0", DataDir: t.TempDir(),
			Topics: []Topic{{Name: "no spaces", Partitions: 1}}}, "create topic"},
	} {
		t.Run(name, func(t *testing.T) {
			broker, err := StartBroker(c.options)
			if err == nil {
				_ = broker.Close()
				t.Fatal("started")
			}
			if !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %q, want one line with %q", err, c.want)
			}
		})
	}
}

// TestBrokerFreesPortAfterFault: a start that fails must not keep the port.
func TestBrokerFreesPortAfterFault(t *testing.T) {
	dir := t.TempDir()
	startBroker(t, BrokerOptions{Listen: "127.0.0.1:0", DataDir: dir})
	probe, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := probe.Addr().String()
	_ = probe.Close()
	if _, err := StartBroker(BrokerOptions{Listen: address, DataDir: dir}); err == nil {
		t.Fatal("two brokers share a folder")
	}
	startBroker(t, BrokerOptions{Listen: address, DataDir: t.TempDir()})
}
