package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"tollstream/pipeline/billing"
)

// Secrets that could not come from anywhere else.
const (
	markedPassword = "clickhouse-7f3a9c"
	markedLogin    = "kafka-51e2d8"
)

// outlet keeps all that a test's commands and servers let out.
type outlet struct {
	t  *testing.T
	mu sync.Mutex
	bytes.Buffer
}

// Write keeps what loops log side by side.
func (o *outlet) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.Buffer.Write(p)
}

// has tells whether something came out already.
func (o *outlet) has(text string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return strings.Contains(o.String(), text)
}

// run runs a command line that is to end with a status.
func (o *outlet) run(status int, args ...string) {
	o.t.Helper()
	fmt.Fprintln(o, "$", args[0])
	if got := run(o.t.Context(), args, o, o); got != status {
		o.t.Errorf("%v: exit status %d, want %d", args, got, status)
	}
}

// check looks for the secrets in all that came out, and that something did.
func (o *outlet) check(says ...string) {
	o.t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	text := o.String()
	for _, secret := range []string{markedPassword, markedLogin} {
		if at := strings.Index(text, secret); at >= 0 {
			o.t.Errorf("a secret came out: ...%s...", text[max(0, at-200):min(len(text), at+80)])
		}
	}
	for _, s := range says {
		if !strings.Contains(text, s) {
			o.t.Errorf("nothing says %q: %s", s, text)
		}
	}
}

// TestSecretsStayInside: commands with marked secrets, right and wrong, in every place where one
// can stand by mistake; none of them is printed.
func TestSecretsStayInside(t *testing.T) {
	w := newTestWorldWith(t, t.TempDir(), markedPassword)
	t.Setenv("TOLLSTREAM_CLICKHOUSE__PASSWORD", markedPassword)
	t.Setenv("TOLLSTREAM_LOG__LEVEL", "debug")
	out := &outlet{t: t}
	server := []string{"--clickhouse.addr", w.cfg.ClickHouse.Addr, "--http.listen", "127.0.0.1:0"}
	with := func(args []string, more ...string) []string { return append(more, args...) }

	out.run(exitDone, with(server, "migrate")...)
	out.run(exitDone, with(server, "bills", "list")...)
	out.run(exitDone, with(server, "quarantine", "list")...)
	out.run(exitFailed, with(server, "bills", "show", "nobody/2023-02")...)
	out.run(exitFailed, with(server, "run", first, "--kafka.brokers", "127.0.0.1:1")...)
	out.run(exitFailed, with(server, "migrate", "--clickhouse.user", "nobody")...)
	out.run(exitFailed, with(server, "migrate", "--clickhouse.protocol", "native")...)
	out.run(exitFailed, with(server, "migrate", "--clickhouse.tls.enabled")...)
	out.run(exitFailed, "run", first, "--clickhouse.addr", "127.0.0.1:1", "--http.listen", "")
	out.run(exitFailed, "migrate", "--clickhouse.addr", "no-such-host.invalid:1")
	out.run(exitFailed, "embedded", "--embedded.data_dir", w.cfg.Embedded.DataDir)

	t.Setenv("TOLLSTREAM_KAFKA__SASL__PASSWORD", markedLogin)
	login := []string{"--kafka.sasl.mechanism", saslSHA256, "--kafka.sasl.user", "billing"}
	out.run(exitDone, with(login, "run", "--print-config")...)
	out.run(exitFailed, with(append(server, login...), "run", first, "--kafka.brokers",
		brokerWithLogin(t))...)
	out.run(exitUsage, "run", "--print-config") // a password without a mechanism
	out.check("(redacted)", "wrong user or password", "or a login")

	t.Setenv("TOLLSTREAM_CLICKHOUSE__PASSWORD", "other-"+markedPassword)
	out.run(exitFailed, with(append(server, login...), "migrate")...)
	out.run(exitUsage, with(login, "run", "--print-config", "--clickhouse.password_file",
		write(t, markedPassword+"\n"))...) // given twice
	out.check("given twice")
}

// TestSecretsInWrongPlaces: in the file, on the command line, under a wrong name, in a file that is
// no secret's.
func TestSecretsInWrongPlaces(t *testing.T) {
	out := &outlet{t: t}
	for _, file := range []string{
		"clickhouse: {password: " + markedPassword + "}\n",
		"clickhouse: {password: [" + markedPassword + "]}\n",
		"clickhouse: {pasword: " + markedPassword + "}\n",
		"clickhouse:\n  password: |\n    " + markedPassword + "\n  password: x\n",
		"clickhouse: {password: \"" + markedPassword + "\n",
		"clickhouse: " + markedPassword + "\n",
		markedPassword,
	} {
		out.run(exitUsage, "run", "--config", write(t, file))
	}
	out.run(exitUsage, "run", "--clickhouse.password="+markedPassword)
	out.run(exitUsage, "run", "--clickhouse.password_file",
		write(t, markedPassword+"\n"+markedPassword+"\n"))
	out.run(exitUsage, "run", "--clickhouse.password_file",
		write(t, strings.Repeat(markedPassword, secretFileMax)))
	out.run(exitUsage, "run", "--clickhouse.password_file", "/dev/zero")
	out.run(exitUsage, "run", "--clickhouse.password_file", t.TempDir())
	out.run(exitUsage, "run", "--clickhouse.tls.enabled", "--clickhouse.tls.cert_file",
		write(t, markedPassword), "--clickhouse.tls.key_file", write(t, markedPassword), first)
	out.run(exitUsage, "run", "--clickhouse.tls.enabled", "--clickhouse.tls.ca_file",
		write(t, markedPassword), first)
	t.Setenv("TOLLSTREAM_CLICKHOUSE__PASSWROD", markedPassword)
	out.run(exitUsage, "run", "--print-config")
	out.check("a secret has no place there", "must hold one line", "unknown variable",
		"holds no PEM certificate")
}

// TestSecretsOfARunningPipeline: the log at its most talkative, metrics, health, readiness and the
// API, while all is well and after ClickHouse has gone.
func TestSecretsOfARunningPipeline(t *testing.T) {
	w := newTestWorldWith(t, t.TempDir(), markedPassword)
	out := &outlet{t: t}
	w.cfg.Log.Level = "debug"
	w.cfg.HTTP.StallAfter = time.Millisecond
	w.cfg.Settle.FirstClosing = billing.DateOf(2023, 2, 1)
	var err error
	if w.logger, err = newLogger(w.cfg.Log, out); err != nil {
		t.Fatal(err)
	}
	w.send(t, w.cfg.Kafka.Topics.AccountEvents, opened1001, "2023-02-01T00:00:00+08:00")
	s, err := build(t.Context(), w.cfg, w.logger)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	go s.Run(t.Context()) //nolint:errcheck // it ends with the test
	out.visit("http://" + s.server.Addr())
	w.servers.clickhouse.Kill()
	w.send(t, w.cfg.Kafka.Topics.Calls[0], "{", "2023-02-03T10:00:00+08:00")
	eventually(t, "readiness and ingest name the server that is away", func() (bool, string) {
		said := out.readiness("http://" + s.server.Addr())
		return out.has("ingest waits") && strings.Contains(said, "ClickHouse at ") &&
			strings.Contains(said, "not reachable"), said
	})
	out.visit("http://" + s.server.Addr())
	out.check("ingest waits", "not reachable", "tollstream_", "the store does not answer")
}

// visit asks for every page of the HTTP server.
func (o *outlet) visit(url string) {
	for _, path := range []string{"/metrics", "/healthz", "/readyz", "/v1/bills", "/v1/settlements",
		"/v1/bills/a/b", "/v1/bills?from=x", "/nothing"} {
		answer, err := http.Get(url + path)
		if err != nil {
			o.t.Error(err)
			continue
		}
		fmt.Fprintln(o, path, answer.Header)
		_, _ = io.Copy(struct{ io.Writer }{o}, answer.Body) // under Write's lock, not by ReadFrom
		_ = answer.Body.Close()
	}
}

// readiness is what /readyz says.
func (o *outlet) readiness(url string) string {
	_, body := get(o.t, url+"/readyz")
	_, _ = o.Write(body)
	return string(body)
}

// brokerWithLogin is a broker that knows another password than the marked one.
func brokerWithLogin(t *testing.T) string {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.EnableSASL(),
		kfake.Superuser("SCRAM-SHA-256", "billing", "another"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	return cluster.ListenAddrs()[0]
}
