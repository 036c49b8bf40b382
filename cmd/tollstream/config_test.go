package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
)

var updateConfig = flag.Bool("update-config", false,
	"rewrite tollstream.example.yaml and configuration.md")

// configOf runs a command with these arguments, variables and file, in a folder of its own.
func configOf(t *testing.T, file string, vars map[string]string, args ...string) (*Config, error) {
	t.Helper()
	t.Chdir(t.TempDir())
	if file != "" {
		writeTestFile(t, "tollstream.yaml", file)
	}
	for name, value := range vars {
		t.Setenv(name, value)
	}
	var cfg *Config
	cmd := &cobra.Command{Use: "x", SilenceErrors: true, SilenceUsage: true}
	cmd.RunE = func(cmd *cobra.Command, _ []string) (err error) {
		cfg, err = loadConfig(cmd)
		return err
	}
	addConfigFlags(cmd)
	cmd.SetArgs(append([]string{}, args...))
	err := cmd.Execute()
	return cfg, err
}

func writeTestFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestEverySettingIsInTheTableOnce(t *testing.T) {
	c := DefaultConfig()
	bound := map[uintptr]string{}
	for _, s := range settingsOf(c) {
		at := reflect.ValueOf(s.to).Pointer()
		if other, twice := bound[at]; twice {
			t.Errorf("%s and %s share a field", s.key, other)
		}
		bound[at] = s.key
		if !strings.HasSuffix(s.doc, ".") {
			t.Errorf("%s: its documentation is no sentence: %q", s.key, s.doc)
		}
		section := s.key[:max(0, strings.LastIndexByte(s.key, '.'))]
		if section != "" && sections[section] == "" {
			t.Errorf("section %s has no heading", section)
		}
	}
	leaves := 0
	var walk func(v reflect.Value, path string)
	walk = func(v reflect.Value, path string) {
		for i := range v.NumField() {
			f, name := v.Field(i), path+"."+v.Type().Field(i).Name
			if f.Kind() == reflect.Struct {
				walk(f, name)
				continue
			}
			if !v.Type().Field(i).IsExported() {
				continue
			}
			leaves++
			if bound[f.Addr().Pointer()] == "" {
				t.Errorf("field %s is not in the table of settings", name)
			}
		}
	}
	walk(reflect.ValueOf(c).Elem(), "Config")
	if leaves != len(bound) {
		t.Errorf("%d fields, %d settings", leaves, len(bound))
	}
}

func TestDefaultsAreValid(t *testing.T) {
	if err := DefaultConfig().Validate(); err != nil {
		t.Fatal(err)
	}
	if err := DefaultConfig().ValidateRun(); err == nil {
		t.Error("run needs settle.first_closing, and was content without it")
	}
}

// TestPrecedence sets one key in all places, then in fewer and fewer.
func TestPrecedence(t *testing.T) {
	file := "kafka:\n  fetch:\n    max_wait: 2s\n    max_bytes: 1MiB\n  brokers: [a:1, b:2]\n"
	vars := map[string]string{
		"TOLLSTREAM_KAFKA__FETCH__MAX_WAIT": "3s", "TOLLSTREAM_KAFKA__BROKERS": "c:3, d:4",
	}
	cfg, err := configOf(t, file, vars, "--kafka.fetch.max_wait=4s", "--roles", "ingest,settle")
	if err != nil {
		t.Fatal(err)
	}
	if got := cfg.Kafka.Fetch.MaxWait; got != 4*time.Second {
		t.Errorf("flag over environment: max_wait %s", got)
	}
	if got := fmt.Sprint(cfg.Kafka.Brokers); got != "[c:3 d:4]" {
		t.Errorf("environment over file: brokers %s", got)
	}
	if got := cfg.Kafka.Fetch.MaxBytes; got != 1<<20 {
		t.Errorf("file over default: max_bytes %s", got)
	}
	if got := cfg.Kafka.ClientID; got != "tollstream" {
		t.Errorf("default: client_id %q", got)
	}
	if got := fmt.Sprint(cfg.Roles); got != "[ingest settle]" {
		t.Errorf("list flag: roles %s", got)
	}
}

func TestFaultsNameKeyAndPlace(t *testing.T) {
	for _, c := range []struct {
		name, file string
		vars       map[string]string
		args       []string
		want       string
	}{
		{name: "unknown key", file: "log: {level: info}\n\nkafk:\n  brokers: [a:1]\n",
			want: `unknown key "kafk.brokers" in tollstream.yaml:4; did you mean kafka.brokers?`},
		{name: "unknown leaf", file: "kafka:\n  brokrs: [a:1]\n",
			want: `unknown key "kafka.brokrs" in tollstream.yaml:2; did you mean kafka.brokers?`},
		{name: "wrong place", file: "kafka: {max_wait: 1s}\n",
			want: `unknown key "kafka.max_wait" in tollstream.yaml:1; did you mean kafka.fetch.max_wait?`},
		{name: "nothing alike", file: "retention: 1s\n",
			want: `unknown key "retention" in tollstream.yaml:1: see --help`},
		{name: "unknown variable", vars: map[string]string{"TOLLSTREAM_KAFKA__BROKER": "a:1"},
			want: `unknown variable "TOLLSTREAM_KAFKA__BROKER"; did you mean TOLLSTREAM_KAFKA__BROKERS?`},
		{name: "one underscore", vars: map[string]string{"TOLLSTREAM_KAFKA_BROKERS": "a:1"},
			want: `did you mean TOLLSTREAM_KAFKA__BROKERS?`},
		{name: "section as value", file: "kafka: 5\n",
			want: "kafka is a section, not a setting, in tollstream.yaml:1"},
		{name: "twice", file: "kafka:\n  group: a\nkafka.group: b\n",
			want: "kafka.group stands in line 2 already, and again in tollstream.yaml:3"},
		{name: "yaml", file: "kafka: [\n", want: "configuration: tollstream.yaml: line"},
		{name: "duration", file: "usage:\n  sweep_interval: 20\n",
			want: `usage.sweep_interval: "20" is not a duration (such as 500ms, 20s or 5m) ` +
				`(tollstream.yaml:2)`},
		{name: "bound", file: "usage: {sweep_interval: 61s}\n",
			want: "usage.sweep_interval is 1m1s; 1s to 60s are allowed"},
		{name: "choice", args: []string{"--roles=ingest,bill"},
			want: `roles is "bill", not one of ingest, usage, settle`},
		{name: "date", vars: map[string]string{"TOLLSTREAM_SETTLE__FIRST_CLOSING": "2023-02-30"},
			want: `settle.first_closing: "2023-02-30" is not a date`},
		{name: "secret in file", file: "clickhouse:\n  password: hunter2\n",
			want: "clickhouse.password in tollstream.yaml:2: a secret has no place there; use " +
				"TOLLSTREAM_CLICKHOUSE__PASSWORD or clickhouse.password_file"},
		{name: "password in the clear", args: []string{"--kafka.sasl.mechanism=plain",
			"--kafka.sasl.user=u"}, vars: map[string]string{"TOLLSTREAM_KAFKA__SASL__PASSWORD": "p"},
			want: "would send the password in the clear"},
		{name: "same topic", args: []string{"--kafka.topics.bills=faceid.calls"},
			want: `topic "faceid.calls" is kafka.topics.calls already`},
		{name: "missing file", args: []string{"--config=none.yaml"}, want: "none.yaml: no such file"},
		{name: "until", args: []string{"--settle.until=2023-02-01T08:00:00+08:00"},
			want: "settle.until is for time.mode simulated_time only"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := configOf(t, c.file, c.vars, c.args...)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("error\n  %v\ndoes not say\n  %s", err, c.want)
			}
			if !errors.Is(err, errUsage) {
				t.Errorf("%v has not status 2", err)
			}
		})
	}
}

func TestAllFaultsInOneError(t *testing.T) {
	_, err := configOf(t, "kafka: {brokers: [nohost], group: 'a b'}\nhttp: {listen: x}\n", nil)
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"kafka.brokers", "kafka.group", "http.listen"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not name %s", err, want)
		}
	}
}

func TestForeignVariablesAreLeftAlone(t *testing.T) {
	_, err := configOf(t, "", map[string]string{
		"TOLLSTREAM_SERVICE_HOST": "10.0.0.1", "TOLLSTREAM_PORT": "tcp://10.0.0.1:9464",
		"TOLLSTREAM_PORT_9464_TCP": "x", "TOLLSTREAM_PORT_9464_TCP_ADDR": "x",
		"TOLLSTREAM_METRICS_SERVICE_PORT_HTTP": "9464", "TOLLSTREAM_CHDB_LIB": "x",
		"TOLLSTREAM_EMBEDDED_DATA_DIR": "x",
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestSecretsAreNeverShown looks for a password in everything that could show it.
func TestSecretsAreNeverShown(t *testing.T) {
	const secret = "korrekt-pferd"
	cfg, err := configOf(t, "", map[string]string{"TOLLSTREAM_CLICKHOUSE__PASSWORD": secret})
	if err != nil {
		t.Fatal(err)
	}
	if string(cfg.ClickHouse.Password) != secret {
		t.Fatal("the password was not read")
	}
	var b bytes.Buffer
	log, err := newLogger(LogConfig{Format: "json", Level: "debug"}, &b)
	if err != nil {
		t.Fatal(err)
	}
	log.Info("x", "config", cfg, "clickhouse", cfg.ClickHouse, "password", cfg.ClickHouse.Password)
	text := slog.New(slog.NewTextHandler(&b, nil))
	text.Info("x", "clickhouse", cfg.ClickHouse, "password", cfg.ClickHouse.Password)
	fmt.Fprintf(&b, "%v %+v %#v %s", cfg, cfg.ClickHouse, cfg.ClickHouse, cfg.ClickHouse.Password)
	if err := writeConfig(&b, cfg); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(b.String(), secret) {
		t.Errorf("the secret is shown:\n%s", b.String())
	}
	if !strings.Contains(b.String(), "# password: (redacted)") {
		t.Error("the printed configuration does not say that there is a password")
	}
}

func TestPasswordFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "password")
	writeTestFile(t, path, "geheim\n")
	cfg, err := configOf(t, "clickhouse:\n  password_file: "+path+"\n", nil)
	if err != nil || cfg.ClickHouse.Password != "geheim" {
		t.Fatalf("password %q, %v", string(cfg.ClickHouse.Password), err)
	}
	_, err = configOf(t, "clickhouse:\n  password_file: "+path+"\n",
		map[string]string{"TOLLSTREAM_CLICKHOUSE__PASSWORD": "x"})
	if err == nil || !strings.Contains(err.Error(), "given twice") {
		t.Errorf("two passwords: %v", err)
	}
}

// TestPrintedConfigurationReadsBack prints a configuration that differs from the default in every
// kind of value, reads it as a file and compares.
func TestPrintedConfigurationReadsBack(t *testing.T) {
	cfg, err := configOf(t, "", nil, "--kafka.brokers=a:1,b:2", "--kafka.fetch.max_bytes=65KiB",
		"--settle.first_closing=2023-01-04", "--settle.until=2023-02-01T08:00:00.5+08:00",
		"--time.mode=simulated_time", "--ingest.batch_age_max=1500ms", "--kafka.tls.enabled",
		"--clickhouse.insert_rows_max=7000", "--catalog=#odd: file", "--clickhouse.user=true")
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := writeConfig(&b, cfg); err != nil {
		t.Fatal(err)
	}
	back, err := configOf(t, b.String(), nil)
	if err != nil {
		t.Fatalf("%v in\n%s", err, b.String())
	}
	cfg.origin, back.origin = nil, nil
	if !reflect.DeepEqual(cfg, back) {
		t.Errorf("wrote\n%s\nread %+v", b.String(), back)
	}
}

// TestExampleFile keeps tollstream.example.yaml and configuration.md true.
func TestExampleFile(t *testing.T) {
	var example, table bytes.Buffer
	if err := errors.Join(writeConfig(&example, DefaultConfig()),
		writeSettingsTable(&table)); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string][]byte{
		"../../tollstream.example.yaml": example.Bytes(), "configuration.md": table.Bytes(),
	} {
		if *updateConfig {
			if err := os.WriteFile(path, want, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(path)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is out of date (%v); run go test ./cmd/tollstream -run TestExampleFile "+
				"-update-config", path, err)
		}
	}
}

func TestPrintConfigFlag(t *testing.T) {
	t.Chdir(t.TempDir())
	ran := false
	cmd := &cobra.Command{Use: "x", RunE: func(*cobra.Command, []string) error {
		ran = true
		return nil
	}}
	addConfigFlags(cmd)
	var out bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetArgs([]string{"--print-config", "--log.level=debug"})
	if err := cmd.Execute(); err != nil || ran {
		t.Fatalf("ran %v, %v", ran, err)
	}
	if !strings.Contains(out.String(), "  # The least that is logged. One of debug, info, warn, "+
		"error. Default: info. Here from\n  # --log.level.\n  level: debug\n") {
		t.Errorf("printed\n%s", out.String())
	}
}
