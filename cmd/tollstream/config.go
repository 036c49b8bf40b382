package main

import (
	"time"

	"tollstream/pipeline/billing"
)

// Config is everything that an operator can set. What each setting means, its default, unit and
// bounds are said once, in config_settings.go; --print-config, tollstream.example.yaml, the flags'
// help and configuration.md are made from there.
//
// Precedence: flags, then environment, then the file, then defaults. The variable of a setting is
// TOLLSTREAM_ and its key in capitals, with two underscores for each point:
// kafka.fetch.max_wait is TOLLSTREAM_KAFKA__FETCH__MAX_WAIT. The flag is the key: --kafka.brokers.
// Secrets have no flag and no place in the file: they come from the environment or from a file of
// their own (password_file).
type Config struct {
	Kafka      KafkaConfig
	ClickHouse ClickHouseConfig
	Ingest     IngestConfig
	Usage      UsageConfig
	Quarantine QuarantineConfig
	Settle     SettleConfig
	Time       TimeConfig
	Catalog    string
	Roles      []string
	HTTP       HTTPConfig
	Log        LogConfig
	Embedded   EmbeddedConfig

	// origin says where a value comes from, by key, for values that are not defaults.
	origin map[string]string
}

// KafkaConfig says where the logs are and how to read them.
type KafkaConfig struct {
	Brokers  []string
	ClientID string
	Group    string
	// SessionTimeout is how long the brokers wait for a sign of life of a member of the group.
	SessionTimeout time.Duration
	Topics         TopicsConfig
	TLS            TLSConfig
	SASL           SASLConfig
	Fetch          FetchConfig
}

// TopicsConfig names the topics.
type TopicsConfig struct {
	Calls         []string
	AccountEvents string
	Bills         string
	Settlements   string
	ServiceStatus string
	Quarantine    string
}

// TLSConfig says how a connection is encrypted. There is no switch that skips verification.
type TLSConfig struct {
	Enabled    bool
	CAFile     string
	CertFile   string
	KeyFile    string
	ServerName string
}

// SASLConfig says who we are to the brokers.
type SASLConfig struct {
	Mechanism    string
	User         string
	Password     Secret
	PasswordFile string
}

// FetchConfig bounds one read.
type FetchConfig struct {
	MaxBytes Bytes
	MaxWait  time.Duration
	MinBytes Bytes
}

// ClickHouseConfig says where results are stored.
type ClickHouseConfig struct {
	Addr          string
	Database      string
	Cluster       string // over whose shards the schema is; "" is one server
	User          string
	Password      Secret
	PasswordFile  string
	Protocol      string
	TLS           TLSConfig
	DialTimeout   time.Duration
	InsertRowsMax int
	Compression   string
}

// IngestConfig bounds the batches that are stored together.
type IngestConfig struct {
	BatchRecordsMax int
	BatchBytesMax   Bytes
	BatchAgeMax     time.Duration
	WritesMax       int
	RewindRecords   int
}

// UsageConfig is about the usage of open days.
type UsageConfig struct{ SweepInterval time.Duration }

// QuarantineConfig is about the bytes of records that were refused.
type QuarantineConfig struct{ KeepBytes time.Duration }

// SettleConfig is about closings.
type SettleConfig struct {
	FirstClosing billing.Day
	ClockMargin  time.Duration
	Until        billing.Instant
	RetryMin     time.Duration
	RetryMax     time.Duration
}

// TimeConfig says whose clock decides lateness (B21).
type TimeConfig struct{ Mode string }

// HTTPConfig is about metrics, health and readiness.
type HTTPConfig struct {
	Listen          string
	StallAfter      time.Duration
	ShutdownTimeout time.Duration
}

// LogConfig is about our own log.
type LogConfig struct{ Format, Level string }

// EmbeddedConfig is about the broker and the ClickHouse inside the binary.
type EmbeddedConfig struct {
	DataDir          string
	KafkaListen      string
	ClickHouseListen string
	Library          string

	// executable runs the embedded ClickHouse; empty is this program. Tests built with the race
	// detector give another, since libchdb cannot run under it.
	executable string
}

// The values of settings that other files ask for.
const (
	modeLogAppendTime = "log_append_time"
	modeSimulated     = "simulated_time"

	roleIngest = "ingest"
	roleUsage  = "usage"
	roleSettle = "settle"

	saslNone   = "none"
	saslPlain  = "plain"
	saslSHA256 = "scram-sha-256"
	saslSHA512 = "scram-sha-512"

	protocolHTTP   = "http"
	protocolNative = "native"
)

// DefaultConfig is the configuration of someone who has set nothing.
func DefaultConfig() *Config {
	c := &Config{origin: map[string]string{}}
	for _, s := range settingsOf(c) {
		if err := parseValue(s.to, s.def); err != nil {
			panic("default of " + s.key + ": " + err.Error()) // a test reads every default
		}
	}
	return c
}
