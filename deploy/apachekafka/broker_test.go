package apachekafka

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func connect(t *testing.T, b *Broker, o ...kgo.Opt) *kgo.Client {
	t.Helper()
	c, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(b.Plaintext()),
		kgo.DefaultProduceTopic("calls"), kgo.ConsumeTopics("calls"),
		kgo.RequestTimeoutOverhead(time.Minute)}, o...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func createTopic(t *testing.T, c *kgo.Client) {
	t.Helper()
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = "calls", 1, 1
	setting := kmsg.NewCreateTopicsRequestTopicConfig()
	setting.Name, setting.Value = "message.timestamp.type", kmsg.StringPtr("LogAppendTime")
	topic.Configs = append(topic.Configs, setting)
	request := kmsg.NewPtrCreateTopicsRequest()
	request.Topics, request.TimeoutMillis = append(request.Topics, topic), 60_000
	answer, err := request.RequestWith(t.Context(), c)
	if err != nil || answer.Topics[0].ErrorCode != 0 {
		t.Fatal(err, answer)
	}
}

// TestApacheKeepsWhatItAcknowledged stops, kills and restarts a broker between records, moves its
// clock, and reads everything back in order with the broker's times.
func TestApacheKeepsWhatItAcknowledged(t *testing.T) {
	month := time.Date(2023, 1, 1, 0, 0, 0, 0, time.UTC)
	b := ForTest(t, Options{Clock: month})
	c := connect(t, b)
	createTopic(t, c)
	produce := func(value string) {
		t.Helper()
		r := &kgo.Record{Value: []byte(value), Timestamp: time.Unix(1e9, 0)}
		if err := c.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	again := func() {
		t.Helper()
		if err := b.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	produce("at first")
	b.Stop()
	again()
	if err := b.SetClock(month.AddDate(0, 0, 20)); err != nil {
		t.Fatal(err)
	}
	produce("after a stop")
	b.Kill()
	again()
	produce("after a kill")
	if err := b.SetClock(month); err == nil {
		t.Error("the clock went back")
	}

	want := []struct {
		value string
		day   int
	}{{"at first", 1}, {"after a stop", 21}, {"after a kill", 21}}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	for n := 0; n < len(want); {
		fetches := c.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		for _, r := range fetches.Records() {
			if string(r.Value) != want[n].value || r.Timestamp.UTC().Day() != want[n].day ||
				r.Timestamp.Year() != 2023 || r.Timestamp.After(b.Now()) {
				t.Errorf("%q at %s, want %+v", r.Value, r.Timestamp, want[n])
			}
			n++
		}
	}
}

func TestStartSaysWhatIsMissing(t *testing.T) {
	_, err := Start(t.Context(), Options{Home: t.TempDir(), Dir: t.TempDir()})
	if err == nil || !strings.Contains(err.Error(), "make test-kafka") {
		t.Error(err)
	}
}

// TestApacheStartShowsTheLog gives a setting that the broker accepts and then cannot start with.
func TestApacheStartShowsTheLog(t *testing.T) {
	_, err := Start(t.Context(), Options{Home: homeOrSkip(t), Dir: t.TempDir(),
		Settings: map[string]string{"ssl.keystore.location": "/nowhere.pem"}})
	if err == nil || !strings.Contains(err.Error(), "/nowhere.pem") {
		t.Error(err)
	}
}
