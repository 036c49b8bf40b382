package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"runtime/debug"
	"slices"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"golang.org/x/sync/errgroup"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/catalog"
	"tollstream/pipeline/ingest"
	"tollstream/pipeline/kafkalog"
	"tollstream/pipeline/observe"
	"tollstream/pipeline/retention"
	"tollstream/pipeline/roster"
	"tollstream/pipeline/settle"
	"tollstream/pipeline/stored"
	"tollstream/pipeline/usage"
	"tollstream/sinks/clickhouse"
	"tollstream/sinks/kafka"
)

// The whole pipeline, wired by hand, once for `run`, `demo` and the end-to-end tests:
//
//	faceid.calls, ...          +--------+   call_copies, deliveries,      +-------+
//	billing.account-events --> | ingest | --> account_events, quarantine -> | usage | --> open_usage
//	                           +--------+        |        ^                 +-------+
//	                             |   roster -----+        |
//	                             v                        v
//	                  billing.quarantine            +--------+ --> bills, lines, ledger, status
//	      billing.settlements <-------------------> | settle | --> billing.bills
//	                                                +--------+ --> billing.service-status
type system struct {
	cfg       *Config
	cat       *catalog.Catalog
	log       *kafkalog.Client
	producer  *kafkalog.Producer
	publisher *kafka.Publisher
	store     *clickhouse.Store
	roster    *roster.Roster
	metrics   *observe.Metrics
	health    *observe.Health
	logger    *slog.Logger
	server    *observe.Server
	closed    func(*stored.Settlement) // hears of each closing, may be nil
	kick      chan struct{}            // asks for a sweep of the open usage
	now       func() time.Time         // decides what is due; tests give the brokers' clock
	// keepServing goes on after settle.until is reached, until the context ends.
	keepServing bool
}

// Bounds for parts that have no setting of their own.
const (
	settlePoll = 500 * time.Millisecond
	startWait  = 10 * time.Second // for the first answer of a server
	topicsWait = time.Minute      // for brokers that answer to describe and create topics
)

// build connects everything and checks that the world is as it has to be: servers that answer, a
// schema, topics with the broker's append time. Its errors are one line and say what to do.
func build(ctx context.Context, cfg *Config, logger *slog.Logger) (*system, error) {
	s := &system{cfg: cfg, logger: logger, kick: make(chan struct{}, 1), now: time.Now}
	s.metrics = observe.NewMetrics(buildInfo(), time.Now)
	s.health = observe.NewHealth(time.Now)
	var err error
	if s.cat, err = loadCatalog(cfg.Catalog); err != nil {
		return nil, err
	}
	s.metrics.Expect(known(cfg, s.cat))
	o := storeOptions(cfg, s.cat)
	o.Failed = s.metrics.ServerFailed(observe.ClickHouse)
	if s.store, err = clickhouse.Open(ctx, o); err != nil {
		return nil, err
	}
	if err := s.store.Ready(ctx); err != nil {
		return nil, err
	}
	mux := observe.Mux(s.metrics, s.health)
	addAPI(mux, s.store, s.cat.Settings.Zone, logger)
	s.server, err = observe.Listen(observe.ServerOptions{
		Listen: cfg.HTTP.Listen, Handler: mux,
		ShutdownTimeout: cfg.HTTP.ShutdownTimeout, Logger: logger,
	})
	if err != nil {
		return nil, err
	}
	if err := s.connectKafka(ctx); err != nil {
		return nil, err
	}
	if err := s.checkTopics(ctx); err != nil {
		return nil, err
	}
	s.roster = roster.New(s.cat, s.store)
	return s, nil
}

// known are the labels that metrics can have from the start.
func known(cfg *Config, cat *catalog.Catalog) observe.Known {
	k := observe.Known{
		Topics:     append([]string{cfg.Kafka.Topics.AccountEvents}, cfg.Kafka.Topics.Calls...),
		CodeTables: slices.Collect(maps.Keys(cat.Codes)),
	}
	for _, r := range billing.Reasons() {
		k.Reasons = append(k.Reasons, string(r))
	}
	return k
}

func buildInfo() observe.Build {
	b := observe.Build{Version: "devel"}
	if info, ok := debug.ReadBuildInfo(); ok {
		b.GoVersion = info.GoVersion
		for _, x := range info.Settings {
			if x.Key == "vcs.revision" {
				b.Revision = x.Value
			}
		}
	}
	return b
}

// openStore connects to ClickHouse as configured.
func openStore(
	ctx context.Context, cfg *Config, cat *catalog.Catalog,
) (*clickhouse.Store, error) {
	return clickhouse.Open(ctx, storeOptions(cfg, cat))
}

func storeOptions(cfg *Config, cat *catalog.Catalog) clickhouse.Options {
	c := &cfg.ClickHouse
	return clickhouse.Options{
		Addr: c.Addr, Database: c.Database, Cluster: c.Cluster, User: c.User,
		Password: string(c.Password), Protocol: c.Protocol,
		TLS:         func() (*tls.Config, error) { return c.TLS.Load("clickhouse.tls") },
		Compression: c.Compression, DialTimeout: c.DialTimeout,
		InsertRowsMax: c.InsertRowsMax,
	}.For(cat)
}

// connectLog connects what reads from Kafka.
func (s *system) connectLog(ctx context.Context) (*kafkago.Transport, error) {
	k := &s.cfg.Kafka
	transport, err := k.Transport()
	if err != nil {
		return nil, err
	}
	s.log, err = kafkalog.New(kafkalog.Options{
		Brokers: k.Brokers, Transport: transport, ClientID: k.ClientID,
		MaxWait: k.Fetch.MaxWait, MinBytes: int(k.Fetch.MinBytes), MaxBytes: int(k.Fetch.MaxBytes),
		Failed: s.metrics.ServerFailed(observe.Kafka),
	})
	if err != nil {
		return nil, err
	}
	return transport, s.reachKafka(ctx, transport)
}

func (s *system) connectKafka(ctx context.Context) error {
	transport, err := s.connectLog(ctx)
	if err != nil {
		return err
	}
	k := &s.cfg.Kafka
	s.producer, err = kafkalog.NewProducer(kafkalog.ProducerOptions{
		Brokers: k.Brokers, Transport: transport, ClientID: k.ClientID,
		Failed: s.metrics.ServerFailed(observe.Kafka),
	})
	if err != nil {
		return err
	}
	t := &k.Topics
	s.publisher = kafka.New(s.producer, s.log, kafka.Topics{
		Bills: t.Bills, Settlements: t.Settlements, ServiceStatus: t.ServiceStatus,
		Quarantine: t.Quarantine,
	}, s.cat.Settings.Zone)
	return nil
}

// reachKafka asks for a first answer with little patience: at the start, a broker that is not there
// is a mistake in a setting more often than a broker that restarts.
func (s *system) reachKafka(ctx context.Context, transport *kafkago.Transport) error {
	probe, err := kafkalog.New(kafkalog.Options{
		Brokers: s.cfg.Kafka.Brokers, Transport: transport, RetryFor: startWait / 2,
	})
	if err != nil {
		return err
	}
	defer probe.Close()
	_, err = probe.ClusterID(ctx)
	return err
}

// inputTopics are what the input topics have to be (B21).
func (s *system) inputTopics() []kafkalog.TopicSpec {
	stamp := kafkalog.LogAppendTime
	if s.simulated() {
		stamp = kafkalog.CreateTime
	}
	t := &s.cfg.Kafka.Topics
	var specs []kafkalog.TopicSpec
	for _, name := range append([]string{t.AccountEvents}, t.Calls...) {
		specs = append(specs, kafkalog.TopicSpec{
			Name: name, TimestampType: stamp, Retention: kafkalog.RetentionForever,
		})
	}
	return specs
}

// outputTopics are created when missing. Brokers refuse records whose producer's clock is an hour
// ahead of theirs, save on topics that take the brokers' clocks.
func (s *system) outputTopics() []kafkalog.TopicSpec {
	t := &s.cfg.Kafka.Topics
	var specs []kafkalog.TopicSpec
	for _, name := range []string{t.Bills, t.Settlements, t.ServiceStatus, t.Quarantine} {
		specs = append(specs, kafkalog.TopicSpec{Name: name, Partitions: 1,
			TimestampType: kafkalog.LogAppendTime, Retention: kafkalog.RetentionForever})
	}
	return specs
}

func (s *system) simulated() bool { return s.cfg.Time.Mode == modeSimulated }

// checkTopics refuses input topics on which lateness could not be decided or records could vanish,
// and those that are other logs than before, and creates the output topics that are missing.
func (s *system) checkTopics(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, topicsWait)
	defer cancel()
	if err := s.checkInputs(ctx); err != nil {
		return err
	}
	if err := s.log.EnsureTopics(ctx, s.outputTopics()); err != nil {
		return err
	}
	return s.knowLogs(ctx)
}

func (s *system) checkInputs(ctx context.Context) error {
	for _, spec := range s.inputTopics() {
		if _, err := s.log.CheckTopic(ctx, spec); err != nil {
			return err
		}
	}
	return nil
}

// Run runs the roles until the context ends, or until settle.until is reached.
func (s *system) Run(outer context.Context) error {
	ctx, stop := context.WithCancel(outer)
	defer stop()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.server.Run(ctx) })
	if s.cfg.HasRole(roleIngest) {
		group.Go(func() error { return s.ingest(ctx) })
	}
	if s.cfg.HasRole(roleUsage) {
		group.Go(func() error { return s.usage(ctx) })
	}
	if s.cfg.HasRole(roleSettle) {
		group.Go(func() error {
			err := s.settle(ctx)
			if err == nil && !s.keepServing {
				stop() // everything up to settle.until is closed
			}
			return err
		})
	}
	if s.cfg.HasRole(roleSettle) && s.cfg.Quarantine.KeepBytes != 0 {
		group.Go(func() error { return s.forget(ctx) })
	}
	err := group.Wait()
	if outer.Err() != nil || errors.Is(err, context.Canceled) {
		return nil // told to stop; what was not finished is done again at the next start
	}
	return err
}

func (s *system) ingest(ctx context.Context) error {
	k := &s.cfg.Kafka
	progress := s.health.Loop(roleIngest, s.cfg.HTTP.StallAfter)
	topics := append([]string{k.Topics.AccountEvents}, k.Topics.Calls...)
	group, err := s.group(roleIngest, progress, topics...)
	if err != nil {
		return err
	}
	return ingest.New(ingest.Options{
		Log: s.log, Ends: s.log, Group: group, Store: s.store, Quarantine: s.publisher,
		Settled: s.publisher,
		Roster:  s.roster, Catalog: s.cat, Events: k.Topics.AccountEvents,
		RecordsMax: s.cfg.Ingest.BatchRecordsMax, BytesMax: int(s.cfg.Ingest.BatchBytesMax),
		AgeMax: s.cfg.Ingest.BatchAgeMax, WritesMax: s.cfg.Ingest.WritesMax,
		Rewind: int64(s.cfg.Ingest.RewindRecords), Metrics: s.metrics, Progress: progress,
		Logger:     s.logger,
		Partitions: s.health.Loop(roleIngest+" partitions", s.cfg.HTTP.StallAfter),
	}).Run(ctx)
}

// group is this process's membership among those that share a role.
func (s *system) group(
	role string, progress *observe.Progress, topics ...string,
) (*kafkalog.Group, error) {
	k := &s.cfg.Kafka
	transport, err := k.Transport()
	if err != nil {
		return nil, err
	}
	return kafkalog.NewGroup(kafkalog.GroupOptions{
		Brokers: k.Brokers, GroupID: groupID(s.cfg, role), Topics: topics,
		Dialer: kafkalog.Dialer(transport), SessionTimeout: k.SessionTimeout,
		JoinFailed: func(err error) {
			progress.Waits(err.Error())
			s.metrics.ServerFailed(observe.Kafka)(true)
		},
	})
}

// groupID is the consumer group of a role.
func groupID(cfg *Config, role string) string { return cfg.Kafka.Group + "-" + role }

func (s *system) usage(ctx context.Context) error {
	return usage.Run(ctx, usage.Options{
		Store: s.store, Counter: s.store,
		Roster:   roster.New(s.cat, s.store),
		Interval: s.cfg.Usage.SweepInterval, Kick: s.kick, Now: s.now, Metrics: s.metrics,
		Progress: s.health.Loop(roleUsage, 2*s.cfg.Usage.SweepInterval+s.cfg.HTTP.StallAfter),
		Logger:   s.logger,
	})
}

// forget keeps bytes of quarantined records for no longer than they may be kept.
func (s *system) forget(ctx context.Context) error {
	return retention.Run(ctx, retention.Options{Store: s.store, Keep: s.cfg.Quarantine.KeepBytes,
		Now: s.now, Logger: s.logger,
		Progress: s.health.Loop("retention", retention.Every+s.cfg.HTTP.StallAfter)})
}

func (s *system) settle(ctx context.Context) error {
	k := &s.cfg.Kafka
	progress := s.health.Loop(roleSettle, s.cfg.HTTP.StallAfter)
	o := settle.Options{
		Log: s.log, Publisher: s.publisher, Store: s.store, Catalog: s.cat,
		Calls: k.Topics.Calls, Events: k.Topics.AccountEvents, Simulated: s.simulated(),
		Until: s.cfg.Settle.Until, Poll: settlePoll,
		RetryMin: s.cfg.Settle.RetryMin, RetryMax: s.cfg.Settle.RetryMax,
		Margin: max(s.cfg.Settle.ClockMargin, s.cat.Settings.ClockMargin),
		Now:    s.now, Metrics: s.metrics,
		Progress: progress, Logger: s.logger,
		Look:   ingest.NewLooker(s.log, s.cat, k.Topics.AccountEvents).Look,
		Closed: s.afterClosing,
	}
	if first := s.cfg.Settle.FirstClosing; first != 0 {
		o.First = &first
	}
	group, err := s.group(roleSettle, progress, k.Topics.Settlements)
	if err != nil {
		return err
	}
	if err := settle.Lead(ctx, group, k.Topics.Settlements, o); err != nil {
		return fmt.Errorf("settle: %w", err)
	}
	progress.IdleUntil(time.Now().AddDate(100, 0, 0)) // there is nothing more to close, ever
	return nil
}

// afterClosing asks for a sweep, which is never waited for, and tells whoever listens.
func (s *system) afterClosing(done *stored.Settlement) {
	select {
	case s.kick <- struct{}{}:
	default: // one is asked for already
	}
	if s.closed != nil {
		s.closed(done)
	}
}

// Close ends the connections.
func (s *system) Close() {
	if s.producer != nil {
		_ = s.producer.Close()
	}
	if s.log != nil {
		s.log.Close()
	}
	if s.store != nil {
		_ = s.store.Close()
	}
}
