package main

import (
	"bytes"
	"io"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"tollstream/deploy/apachekafka"
	"tollstream/pipeline/billing"
	"tollstream/pipeline/generate"
)

// TestApachePast is what docker-compose.yml does: a generator sends the past with its times into
// topics of its own making, the topics are then told to take the broker's times, and the pipeline
// closes the past and goes on with what the generator sends as time passes. The bills are those
// that `tollstream bill` makes of the records and their times in the log.
func TestApachePast(t *testing.T) {
	w := newApacheWorld(t, apachekafka.Options{})
	w.past = true
	w.cfg.Kafka.Topics.Calls = []string{"past.calls"}
	w.cfg.Kafka.Topics.AccountEvents = "past.events"
	w.cfg.Settle.FirstClosing = billing.DateOf(2022, 12, 27)
	noon := time.Date(2023, 1, 6, 12, 0, 0, 0, w.cat.Settings.Zone)
	w.setClock(t, noon)
	w.sendPast(t)
	w.takeBrokersTimes(t)

	until := billing.InstantOf(time.Date(2023, 1, 11, 8, 0, 0, 0, w.cat.Settings.Zone))
	s := w.stream(t, until)
	for day := range 4 {
		w.setClock(t, noon.AddDate(0, 0, day+1))
		w.sendPast(t)
	}
	w.setClock(t, until.Time().Add(2*time.Minute))
	s.wait()
	got, want := w.bills(t), w.billsOfFiles(t, w.records(t), until)
	if len(got) == 0 || !bytes.Equal(got, want) {
		t.Errorf("the stream's %d bytes of bills differ from the %d of tollstream bill: %s",
			len(got), len(want), firstDifference(got, want))
	}
}

// sendPast is tollstream generate --kafka --send past, by the broker's clock.
func (w *apacheWorld) sendPast(t *testing.T) {
	t.Helper()
	f := &generateFlags{send: sendPast, partitions: callPartitions, options: generate.Options{
		Seed: 7, Catalog: w.cat, From: billing.DateOf(2022, 12, 27), To: billing.DateOf(2023, 1, 10),
		Accounts: 12, Calls: 4_000, CallsTopic: w.cfg.Kafka.Topics.Calls[0],
		EventsTopic: w.cfg.Kafka.Topics.AccountEvents, Rates: generate.DefaultRates()}}
	to, err := openKafkaSink(t.Context(), w.cfg, f, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close() //nolint:errcheck // pace has waited for every acknowledgement
	g, err := generate.New(f.options)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.pace(t.Context(), &pacer{to: to, now: w.broker.Now}, g, io.Discard); err != nil {
		t.Fatal(err)
	}
}

// takeBrokersTimes changes the input topics to LogAppendTime.
func (w *apacheWorld) takeBrokersTimes(t *testing.T) {
	t.Helper()
	change, value := kmsg.NewPtrIncrementalAlterConfigsRequest(), "LogAppendTime"
	for _, spec := range (&system{cfg: w.cfg}).inputTopics() {
		resource := kmsg.NewIncrementalAlterConfigsRequestResource()
		resource.ResourceType, resource.ResourceName = kmsg.ConfigResourceTypeTopic, spec.Name
		setting := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
		setting.Name, setting.Value = "message.timestamp.type", &value
		resource.Configs = append(resource.Configs, setting)
		change.Resources = append(change.Resources, resource)
	}
	answer, err := change.RequestWith(t.Context(), w.client)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range answer.Resources {
		if r.ErrorCode != 0 {
			t.Fatalf("%s: %d %v", r.ResourceName, r.ErrorCode, r.ErrorMessage)
		}
	}
}
