package main

import "slices"

// setting is one line of the table of settings: the only place that says what a setting is.
type setting struct {
	key     string
	to      any // pointer to the field of Config
	def     string
	unit    string // of the value, where the value itself does not say it
	least   string // inclusive bounds
	most    string
	choices []string
	secret  bool
	doc     string
}

// sections are the headings of the file.
var sections = map[string]string{
	"kafka":          "Where the logs are and how to read them.",
	"kafka.topics":   "Names of the topics. The first two are read, the others written.",
	"kafka.tls":      "Encryption towards the brokers.",
	"kafka.sasl":     "Who we are to the brokers.",
	"kafka.fetch":    "Bounds of one read.",
	"clickhouse":     "Where calls, usage, bills and settlements are stored.",
	"clickhouse.tls": "Encryption towards ClickHouse.",
	"ingest":         "Batches of records that are stored together.",
	"usage":          "The usage of days that are not closed yet.",
	"quarantine":     "Records that were refused.",
	"settle":         "Closings.",
	"time":           "Whose clock decides what is late.",
	"http":           "/metrics, /healthz and /readyz.",
	"log":            "Our own log, on stderr.",
	"embedded":       "The broker and the ClickHouse inside the binary (demo, embedded).",
}

// settingsOf lists the settings, bound to the fields of c, in the order of the file.
func settingsOf(c *Config) []setting {
	return slices.Concat(
		[]setting{
			{key: "roles", to: &c.Roles, def: "ingest, usage, settle",
				choices: []string{roleIngest, roleUsage, roleSettle},
				doc: "What this process does: ingest stores calls, usage keeps the open days " +
					"current, settle makes the bills. One process may have all roles."},
			{key: "catalog", to: &c.Catalog, def: "",
				doc: "Catalogue file: tags, prices, packages, result codes. Empty means the " +
					"embedded catalogue of Tencent Cloud FaceID."},
		},
		kafkaSettings(&c.Kafka), kafkaAccessSettings(&c.Kafka),
		clickHouseSettings(&c.ClickHouse), loopSettings(c), processSettings(c),
	)
}

func kafkaSettings(k *KafkaConfig) []setting {
	return []setting{
		{key: "kafka.brokers", to: &k.Brokers, def: "127.0.0.1:9092",
			doc: "Bootstrap brokers, host:port."},
		{key: "kafka.client_id", to: &k.ClientID, def: "tollstream",
			doc: "What the brokers log and meter us by."},
		{key: "kafka.group", to: &k.Group, def: "tollstream",
			doc: "Prefix of our consumer groups; the role follows it, as in tollstream-ingest."},
		{key: "kafka.session_timeout", to: &k.SessionTimeout, def: "10s", least: "1s", most: "5m",
			doc: "How long a process may be silent before others take over its work; after a crash " +
				"nobody does it for so long. Too early costs some work done twice. Brokers have bounds " +
				"of their own, 6s to 30m unless told otherwise."},
		{key: "kafka.topics.calls", to: &k.Topics.Calls, def: "faceid.calls",
			doc: "Call records; several topics may be listed."},
		{key: "kafka.topics.account_events", to: &k.Topics.AccountEvents,
			def: "billing.account-events", doc: "Account events."},
		{key: "kafka.topics.bills", to: &k.Topics.Bills, def: "billing.bills",
			doc: "Bills are written here."},
		{key: "kafka.topics.settlements", to: &k.Topics.Settlements, def: "billing.settlements",
			doc: "The barriers of every closing: one partition, kept for ever, never compacted."},
		{key: "kafka.topics.service_status", to: &k.Topics.ServiceStatus,
			def: "billing.service-status", doc: "Arrears, suspension and resumption."},
		{key: "kafka.topics.quarantine", to: &k.Topics.Quarantine, def: "billing.quarantine",
			doc: "Records that could not be used, with their bytes and the reason."},
		{key: "kafka.fetch.max_bytes", to: &k.Fetch.MaxBytes, def: "512KiB",
			least: "64KiB", most: "1GiB", doc: "Most that one broker answers to one read. Three reads " +
				"are in memory at a time, decompressed."},
		{key: "kafka.fetch.max_wait", to: &k.Fetch.MaxWait, def: "500ms", least: "1ms", most: "30s",
			doc: "How long a broker holds a read that has less than min_bytes."},
		{key: "kafka.fetch.min_bytes", to: &k.Fetch.MinBytes, def: "1B", least: "1B", most: "64MiB",
			doc: "What a broker collects before it answers, within max_wait."},
	}
}

func kafkaAccessSettings(k *KafkaConfig) []setting {
	return slices.Concat(tlsSettings("kafka.tls", &k.TLS), []setting{
		{key: "kafka.sasl.mechanism", to: &k.SASL.Mechanism, def: saslNone,
			choices: []string{saslNone, saslPlain, saslSHA256, saslSHA512},
			doc:     "How we log in. plain sends the password, so it needs tls.enabled."},
		{key: "kafka.sasl.user", to: &k.SASL.User, def: "", doc: "User name."},
		{key: "kafka.sasl.password", to: &k.SASL.Password, secret: true, doc: "Password."},
		{key: "kafka.sasl.password_file", to: &k.SASL.PasswordFile, def: "",
			doc: "File with the password; a line end after it does not count."},
	})
}

func clickHouseSettings(h *ClickHouseConfig) []setting {
	return slices.Concat([]setting{
		{key: "clickhouse.addr", to: &h.Addr, def: "127.0.0.1:8123",
			doc: "Server, host:port: usually 8123 for http (8443 with TLS) and 9000 for native " +
				"(9440 with TLS)."},
		{key: "clickhouse.protocol", to: &h.Protocol, def: protocolHTTP,
			choices: []string{protocolHTTP, protocolNative}, doc: "What that port speaks."},
		{key: "clickhouse.database", to: &h.Database, def: "billing", doc: "Database."},
		{key: "clickhouse.cluster", to: &h.Cluster, def: "",
			doc: "Cluster, by its name in the servers' remote_servers, whose shards have the tables; " +
				"empty means one server. It is chosen when the database is made."},
		{key: "clickhouse.user", to: &h.User, def: "default", doc: "User name."},
		{key: "clickhouse.password", to: &h.Password, secret: true, doc: "Password."},
		{key: "clickhouse.password_file", to: &h.PasswordFile, def: "",
			doc: "File with the password; a line end after it does not count."},
		{key: "clickhouse.dial_timeout", to: &h.DialTimeout, def: "10s", least: "100ms", most: "5m",
			doc: "How long connecting may take."},
		{key: "clickhouse.insert_rows_max", to: &h.InsertRowsMax, def: "100000", unit: "rows",
			least: "1000", most: "1000000", doc: "Most rows of one INSERT of a closing, " +
				"and of ingest over the native protocol; bounds our memory."},
		{key: "clickhouse.compression", to: &h.Compression, def: "lz4",
			choices: []string{"none", "lz4", "zstd"}, doc: "Of what we send."},
	}, tlsSettings("clickhouse.tls", &h.TLS))
}

func tlsSettings(section string, t *TLSConfig) []setting {
	return []setting{
		{key: section + ".enabled", to: &t.Enabled, def: "false",
			doc: "Encrypt, and verify the server. There is no way to skip the verification."},
		{key: section + ".ca_file", to: &t.CAFile, def: "",
			doc: "PEM file of the authorities to trust; empty means the system's."},
		{key: section + ".cert_file", to: &t.CertFile, def: "",
			doc: "PEM file of our certificate, where the server asks for one."},
		{key: section + ".key_file", to: &t.KeyFile, def: "", doc: "PEM file of its key."},
		{key: section + ".server_name", to: &t.ServerName, def: "",
			doc: "Name that the server's certificate must have; empty means the host's."},
	}
}

func loopSettings(c *Config) []setting {
	return []setting{
		{key: "ingest.batch_records_max", to: &c.Ingest.BatchRecordsMax, def: "200000",
			unit: "records", least: "1", most: "1000000", doc: "A batch is stored when it has these. " +
				"A batch is a part of ClickHouse's tables, and merging parts costs it more than taking " +
				"them in."},
		{key: "ingest.batch_bytes_max", to: &c.Ingest.BatchBytesMax, def: "128MiB", least: "1MiB",
			most: "1GiB", doc: "A batch is stored when its records take about so much memory, " +
				"decompressed. One answer of the brokers can go beyond it."},
		{key: "ingest.batch_age_max", to: &c.Ingest.BatchAgeMax, def: "1s", least: "10ms", most: "1m",
			doc: "A batch is stored when its first record has waited so long, or five times as long " +
				"where there is more to read at once."},
		{key: "ingest.writes_max", to: &c.Ingest.WritesMax, def: "2", least: "1", most: "64",
			doc: "How many batches are written at a time. More are for a ClickHouse with more cores; " +
				"each takes the memory of a batch and of its insert."},
		{key: "ingest.rewind_records", to: &c.Ingest.RewindRecords, def: "1500",
			unit: "records per partition", least: "0", most: "1000000",
			doc: "How far before the committed offset reading begins after a start. What is read " +
				"twice is stored once."},
		{key: "usage.sweep_interval", to: &c.Usage.SweepInterval, def: "20s", least: "1s", most: "60s",
			doc: "How often the usage of open days is computed anew; it is never older than a " +
				"minute, so 60s is the most."},
		{key: "quarantine.keep_bytes", to: &c.Quarantine.KeepBytes, def: "0s", least: "0s",
			most: "87600h", doc: "How long after its append time a refused record keeps its bytes in " +
				"ClickHouse, 24h or more; a process with the role settle takes them away then, and the " +
				"record cannot be requeued any more. 0s keeps them for ever."},
		{key: "settle.first_closing", to: &c.Settle.FirstClosing, def: "",
			doc: "The first day (YYYY-MM-DD) that is closed; nothing earlier ever is. The role " +
				"settle needs it, and it never changes in a deployment's life."},
		{key: "settle.clock_margin", to: &c.Settle.ClockMargin, def: "60s", least: "0s", most: "1h",
			doc: "How long after a close time the end of a log counts as its barrier (B21)."},
		{key: "settle.until", to: &c.Settle.Until, def: "",
			doc: "Last close time to run, RFC 3339, for time.mode simulated_time; empty means as " +
				"far as the records reach."},
		{key: "settle.retry_min", to: &c.Settle.RetryMin, def: "1s", least: "10ms", most: "1m",
			doc: "First pause after an error of Kafka or ClickHouse, before a closing goes on."},
		{key: "settle.retry_max", to: &c.Settle.RetryMax, def: "30s", least: "10ms", most: "10m",
			doc: "Longest such pause; pauses double from retry_min."},
		{key: "time.mode", to: &c.Time.Mode, def: modeLogAppendTime,
			choices: []string{modeLogAppendTime, modeSimulated},
			doc: "log_append_time takes the brokers' clocks, and input topics with another " +
				"message.timestamp.type are refused. simulated_time takes the records' own times, " +
				"for demos and tests; they may not decrease within a partition."},
	}
}

func processSettings(c *Config) []setting {
	return []setting{
		{key: "http.listen", to: &c.HTTP.Listen, def: "127.0.0.1:9464",
			doc: "Address of /metrics, /healthz and /readyz, host:port; empty means none."},
		{key: "http.stall_after", to: &c.HTTP.StallAfter, def: "60s", least: "5s", most: "1h",
			doc: "/readyz says no when work is pending and nothing has moved for so long."},
		{key: "http.shutdown_timeout", to: &c.HTTP.ShutdownTimeout, def: "10s", least: "0s",
			most: "5m", doc: "How long requests under way may take after we are told to stop."},
		{key: "log.format", to: &c.Log.Format, def: "text", choices: []string{"text", "json"},
			doc: "Form of a log line."},
		{key: "log.level", to: &c.Log.Level, def: "info",
			choices: []string{"debug", "info", "warn", "error"}, doc: "The least that is logged."},
		{key: "embedded.data_dir", to: &c.Embedded.DataDir, def: "tollstream-data",
			doc: "Folder of the embedded ClickHouse."},
		{key: "embedded.kafka_listen", to: &c.Embedded.KafkaListen, def: "127.0.0.1:19092",
			doc: "Address of the embedded broker, host:port."},
		{key: "embedded.clickhouse_listen", to: &c.Embedded.ClickHouseListen,
			def: "127.0.0.1:18123", doc: "Address of the embedded ClickHouse (HTTP), host:port."},
		{key: "embedded.library", to: &c.Embedded.Library, def: "",
			doc: "libchdb.so, or chdb_node.node; empty means that it is looked for in the usual " +
				"places."},
	}
}
