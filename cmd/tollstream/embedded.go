package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"

	"github.com/spf13/cobra"

	"tollstream/deploy/embedded"
	"tollstream/pipeline/catalog"
	"tollstream/sinks/clickhouse"
)

// callPartitions is how many partitions the embedded broker's call topics have: more than one, so
// that nothing can rest on a single order of arrival.
const callPartitions = 3

// servers are the embedded broker and ClickHouse.
type servers struct {
	broker     *embedded.Broker
	clickhouse *embedded.ClickHouse
}

// startEmbedded starts both servers on the configured ports and folders, creates the topics and
// the schema, and points the configuration at them. The embedded broker keeps the times that
// producers give (it has no append time), so the configuration is in simulated time.
func startEmbedded(ctx context.Context, cfg *Config, cat *catalog.Catalog) (*servers, error) {
	s := &servers{}
	var err error
	s.broker, err = embedded.StartBroker(embedded.BrokerOptions{
		Listen: cfg.Embedded.KafkaListen, DataDir: filepath.Join(cfg.Embedded.DataDir, "kafka"),
		Topics: embeddedTopics(&cfg.Kafka.Topics),
		User:   cfg.Kafka.SASL.User, Password: string(cfg.Kafka.SASL.Password),
	})
	if err != nil {
		return nil, fmt.Errorf("embedded Kafka: %w", err)
	}
	cfg.Kafka.Brokers = []string{s.broker.Addr()}
	cfg.Time.Mode = modeSimulated
	if err := s.startClickHouse(ctx, cfg, cat); err != nil {
		s.Close()
		return nil, fmt.Errorf("embedded ClickHouse: %w", err)
	}
	return s, nil
}

// startClickHouse starts ClickHouse alone, creates the schema and points the configuration at it.
func (s *servers) startClickHouse(ctx context.Context, cfg *Config, cat *catalog.Catalog) error {
	var options embedded.ClickHouseOptions
	options.Listen, options.Library = cfg.Embedded.ClickHouseListen, cfg.Embedded.Library
	options.DataDir = filepath.Join(cfg.Embedded.DataDir, "clickhouse")
	options.User, options.Password = cfg.ClickHouse.User, string(cfg.ClickHouse.Password)
	options.Executable = cfg.Embedded.executable
	var err error
	if s.clickhouse, err = embedded.StartClickHouse(ctx, options); err != nil {
		return err
	}
	cfg.ClickHouse.Addr, cfg.ClickHouse.Protocol = s.clickhouse.Addr(), protocolHTTP
	_, err = clickhouse.Migrate(ctx, storeOptions(cfg, cat), false)
	return err
}

func embeddedTopics(t *TopicsConfig) []embedded.Topic {
	keep := map[string]string{"retention.ms": "-1", "cleanup.policy": "delete"}
	topics := []embedded.Topic{{Name: t.AccountEvents, Partitions: 1, Configs: keep}}
	for _, name := range t.Calls {
		topics = append(topics,
			embedded.Topic{Name: name, Partitions: callPartitions, Configs: keep})
	}
	for _, name := range []string{t.Bills, t.Settlements, t.ServiceStatus, t.Quarantine} {
		topics = append(topics, embedded.Topic{Name: name, Partitions: 1, Configs: keep})
	}
	return topics
}

// Close ends both servers. What was acknowledged stays in their folders.
func (s *servers) Close() {
	if s.clickhouse != nil {
		_ = s.clickhouse.Close()
	}
	if s.broker != nil {
		_ = s.broker.Close()
	}
}

func newEmbeddedCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "embedded",
		Short: "Run only the embedded Kafka broker and ClickHouse, for other clients to use",
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, cat, err := configuredCatalog(c)
			if err != nil {
				return err
			}
			s, err := startEmbedded(c.Context(), cfg, cat)
			if err != nil {
				return err
			}
			defer s.Close()
			printServers(c.OutOrStdout(), cfg)
			select {
			case <-c.Context().Done():
				return nil
			case <-s.clickhouse.Exited():
				return fmt.Errorf("the embedded ClickHouse ended by itself; its folder is %s, "+
					"start again to go on", filepath.Join(cfg.Embedded.DataDir, "clickhouse"))
			}
		},
	}
	addConfigFlags(c)
	return c
}

func printServers(w io.Writer, cfg *Config) {
	fmt.Fprintf(w, "Kafka       %s\n", cfg.Kafka.Brokers[0])
	fmt.Fprintf(w, "ClickHouse  http://%s/?database=%s\n", cfg.ClickHouse.Addr,
		cfg.ClickHouse.Database)
	fmt.Fprintf(w, "data        %s\n", cfg.Embedded.DataDir)
}

// newClickHouseChildCommand is the hidden verb by which the embedded ClickHouse gets a process of
// its own.
func newClickHouseChildCommand() *cobra.Command {
	return &cobra.Command{
		Use: embedded.HiddenVerb, Hidden: true,
		RunE: func(c *cobra.Command, _ []string) error {
			return embedded.ServeChild(c.Context())
		},
	}
}
