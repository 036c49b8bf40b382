package main

import (
	"fmt"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Validate reports everything that is wrong in one error (status 2).
func (c *Config) Validate() error {
	var f faults
	for _, s := range settingsOf(c) {
		s.check(&f)
	}
	c.checkKafka(&f)
	c.checkTopics(&f)
	f.tls("kafka.tls", &c.Kafka.TLS)
	f.tls("clickhouse.tls", &c.ClickHouse.TLS)
	f.hostPort("clickhouse.addr", c.ClickHouse.Addr)
	if !identifier.MatchString(c.ClickHouse.Database) {
		f.add("clickhouse.database: %q is not a name of letters, digits and _", c.ClickHouse.Database)
	}
	if c.ClickHouse.User == "" {
		f.add("clickhouse.user is empty")
	}
	if c.HTTP.Listen != "" {
		f.hostPort("http.listen", c.HTTP.Listen)
	}
	f.hostPort("embedded.kafka_listen", c.Embedded.KafkaListen)
	f.hostPort("embedded.clickhouse_listen", c.Embedded.ClickHouseListen)
	if c.Embedded.DataDir == "" {
		f.add("embedded.data_dir is empty")
	}
	if len(c.Roles) == 0 {
		f.add("roles: give at least one of %s, %s, %s", roleIngest, roleUsage, roleSettle)
	}
	if keep := c.Quarantine.KeepBytes; keep != 0 && keep < keepBytesLeast {
		f.add("quarantine.keep_bytes %s is below %s, and what is taken away is gone: 0s keeps bytes "+
			"for ever", keep, keepBytesLeast)
	}
	if c.Settle.RetryMin > c.Settle.RetryMax {
		f.add("settle.retry_min %s is above settle.retry_max %s", c.Settle.RetryMin,
			c.Settle.RetryMax)
	}
	if c.Settle.Until != 0 && c.Time.Mode != modeSimulated {
		f.add("settle.until is for time.mode %s only", modeSimulated)
	}
	if c.Time.Mode == modeLogAppendTime && c.Settle.ClockMargin < time.Second {
		f.add("settle.clock_margin %s: with time.mode %s the brokers' clocks need at least 1s",
			c.Settle.ClockMargin, modeLogAppendTime)
	}
	return f.err()
}

// keepBytesLeast keeps a slip of the pen from emptying the quarantine.
const keepBytesLeast = 24 * time.Hour

// ValidateRun reports what `run` needs beyond a valid configuration.
func (c *Config) ValidateRun() error {
	var f faults
	if c.HasRole(roleSettle) && c.Settle.FirstClosing == 0 {
		f.add("settle.first_closing is needed for the role %s: the first day to close, YYYY-MM-DD",
			roleSettle)
	}
	return f.err()
}

// HasRole tells whether this process has a role.
func (c *Config) HasRole(role string) bool { return slices.Contains(c.Roles, role) }

var (
	topicName  = regexp.MustCompile(`^[A-Za-z0-9._-]{1,249}$`)
	identifier = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,63}$`)
)

// check compares a value with the bounds and choices of its setting.
func (s *setting) check(f *faults) {
	if s.least != "" {
		v := magnitude(s.to)
		if v < s.bound(s.least) || v > s.bound(s.most) {
			f.add("%s is %s; %s to %s are allowed", s.key, formatValue(s.to), s.least, s.most)
		}
	}
	if len(s.choices) == 0 {
		return
	}
	for _, v := range splitList(formatValue(s.to)) {
		if !slices.Contains(s.choices, v) {
			f.add("%s is %q, not one of %s", s.key, v, strings.Join(s.choices, ", "))
		}
	}
	if formatValue(s.to) == "" && typeName(s.to) == "text" {
		f.add("%s is empty; it is one of %s", s.key, strings.Join(s.choices, ", "))
	}
}

func (s *setting) bound(text string) int64 {
	var v any
	switch s.to.(type) {
	case *int:
		v = new(int)
	case *Bytes:
		v = new(Bytes)
	default:
		v = new(time.Duration)
	}
	if err := parseValue(v, text); err != nil {
		panic("bound of " + s.key + ": " + err.Error())
	}
	return magnitude(v)
}

func (c *Config) checkKafka(f *faults) {
	k := &c.Kafka
	if len(k.Brokers) == 0 {
		f.add("kafka.brokers: give at least one host:port")
	}
	for _, b := range k.Brokers {
		f.hostPort("kafka.brokers", b)
	}
	if !topicName.MatchString(k.Group) {
		f.add("kafka.group: %q is not 1 to 249 letters, digits, points, - and _", k.Group)
	}
	if k.Fetch.MinBytes > k.Fetch.MaxBytes {
		f.add("kafka.fetch.min_bytes %s is above kafka.fetch.max_bytes %s", k.Fetch.MinBytes,
			k.Fetch.MaxBytes)
	}
	s := &k.SASL
	switch {
	case s.Mechanism == saslNone && (s.User != "" || s.Password != ""):
		f.add("kafka.sasl.user or password is given, but kafka.sasl.mechanism is %s", saslNone)
	case s.Mechanism == saslNone:
	case s.User == "" || s.Password == "":
		f.add("kafka.sasl.mechanism %s needs kafka.sasl.user and a password (%s or "+
			"kafka.sasl.password_file)", s.Mechanism, envName("kafka.sasl.password"))
	}
	if s.Mechanism == saslPlain && !k.TLS.Enabled {
		f.add("kafka.sasl.mechanism %s would send the password in the clear; set "+
			"kafka.tls.enabled or use %s", saslPlain, saslSHA256)
	}
}

// checkTopics: each name is a topic's name, and no topic has two duties.
func (c *Config) checkTopics(f *faults) {
	t := &c.Kafka.Topics
	if len(t.Calls) == 0 {
		f.add("kafka.topics.calls: give at least one topic")
	}
	owner := map[string]string{}
	check := func(key, name string) {
		if !topicName.MatchString(name) || name == "." || name == ".." {
			f.add("%s: %q is not a topic's name (1 to 249 letters, digits, points, - and _)", key,
				name)
		}
		if other, taken := owner[name]; taken {
			f.add("%s: topic %q is %s already", key, name, other)
		}
		owner[name] = key
	}
	for _, name := range t.Calls {
		check("kafka.topics.calls", name)
	}
	check("kafka.topics.account_events", t.AccountEvents)
	check("kafka.topics.bills", t.Bills)
	check("kafka.topics.settlements", t.Settlements)
	check("kafka.topics.service_status", t.ServiceStatus)
	check("kafka.topics.quarantine", t.Quarantine)
}

func (f *faults) hostPort(key, addr string) {
	host, port, err := net.SplitHostPort(addr)
	n, bad := strconv.Atoi(port)
	if err != nil || bad != nil || n < 0 || n > 65535 || strings.ContainsAny(host, "/@ ") {
		f.add("%s: %q is not host:port", key, addr)
	}
}

func (f *faults) tls(section string, t *TLSConfig) {
	files := []string{t.CAFile, t.CertFile, t.KeyFile, t.ServerName}
	if !t.Enabled && slices.ContainsFunc(files, func(s string) bool { return s != "" }) {
		f.add("%s has settings, but %s.enabled is false", section, section)
	}
	if (t.CertFile == "") != (t.KeyFile == "") {
		f.add("%s.cert_file and %s.key_file go together", section, section)
	}
}

// from names where a value comes from, "" for a default.
func (c *Config) from(key string) string {
	if o := c.origin[key]; o != "" {
		return fmt.Sprintf("from %s", o)
	}
	return ""
}
