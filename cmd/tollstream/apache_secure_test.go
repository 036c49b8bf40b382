package main

import (
	"fmt"
	"testing"

	"tollstream/deploy/apachekafka"
	"tollstream/pipeline/billing"
	"tollstream/pipeline/generate"
)

const (
	apacheUser     = "billing"
	apachePassword = "s3cret"
)

// TestApacheSecure connects over TLS and with logins, rightly and wrongly. Certificates are of two
// authorities: the broker's own and a stranger's.
func TestApacheSecure(t *testing.T) {
	w := newApacheWorld(t, apachekafka.Options{Users: map[string]string{apacheUser: apachePassword}})
	other, err := apachekafka.NewAuthority(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	var own, stranger TLSConfig
	for to, authority := range map[*TLSConfig]*apachekafka.Authority{
		&own: w.broker.Authority(), &stranger: other,
	} {
		to.Enabled, to.CAFile = true, authority.CAFile
		if to.CertFile, to.KeyFile, err = authority.Issue("tollstream"); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("listeners", func(t *testing.T) { w.closeOverEach(t, own) })
	t.Run("refusals", func(t *testing.T) { w.getWrong(t, own, stranger) })
}

// closeOverEach closes a day over each listener and login that there is.
func (w *apacheWorld) closeOverEach(t *testing.T, own TLSConfig) {
	f := &feed{w: w.testWorld, day: billing.DateOf(2023, 2, 1)}
	w.openAcme(t, f.at(0, 1))
	w.cfg.Settle.FirstClosing = f.day
	ledger := &generate.Ledger{}
	trust := TLSConfig{Enabled: true, CAFile: own.CAFile}
	for day, way := range []struct {
		broker    string
		tls       TLSConfig
		mechanism string
	}{
		{w.broker.MutualTLS(), own, saslNone},
		{w.broker.Login(), trust, saslSHA256},
		{w.broker.Login(), trust, saslSHA512},
		{w.broker.Login(), trust, saslPlain},
	} {
		k := &w.cfg.Kafka
		k.Brokers, k.TLS, k.SASL = []string{way.broker}, way.tls, SASLConfig{Mechanism: way.mechanism}
		if way.mechanism != saslNone {
			k.SASL.User, k.SASL.Password = apacheUser, apachePassword
		}
		if err := w.cfg.Validate(); err != nil {
			t.Fatal(err)
		}
		w.setClock(t, f.at(day, 10).Time())
		for p := range int32(callPartitions) {
			w.produce(t, []generate.Record{{Topic: k.Topics.Calls[0], Partition: p, Value: []byte(
				callText(fmt.Sprint(day, "-", p), acme, f.at(day, 10)))}})
			ledger.Calls++
		}
		s := w.stream(t, f.at(day+1, 8))
		w.setClock(t, (f.at(day+1, 8) + 2*billing.Minute).Time())
		s.wait()
	}
	w.checkBills(t, f.at(4, 8), ledger)
}

// getWrong gets every setting of TLS and SASL wrong once. The error is one line that names the
// cause, the broker and the cure.
func (w *apacheWorld) getWrong(t *testing.T, own, stranger TLSConfig) {
	encrypted := func(c TLSConfig, client bool) []string {
		args := []string{"--kafka.tls.enabled", "--kafka.tls.ca_file", c.CAFile}
		if client {
			args = append(args, "--kafka.tls.cert_file", c.CertFile, "--kafka.tls.key_file", c.KeyFile)
		}
		return args
	}
	login := func(mechanism, user, password string, more ...string) []string {
		file := write(t, password+"\n")
		return append([]string{"--kafka.sasl.mechanism", mechanism, "--kafka.sasl.user", user,
			"--kafka.sasl.password_file", file}, more...)
	}
	const (
		credentials = "correct the SASL user, password or mechanism"
		ends        = "ends our connections"
		wantsOurs   = "give the TLS certificate and key files"
	)
	tls := encrypted(own, false)
	for name, c := range map[string]struct {
		broker string
		args   []string
		says   string
	}{
		"sha-256":       {w.broker.Login(), login(saslSHA256, apacheUser, "x", tls...), credentials},
		"sha-512":       {w.broker.Login(), login(saslSHA512, apacheUser, "x", tls...), credentials},
		"plain":         {w.broker.Login(), login(saslPlain, apacheUser, "x", tls...), credentials},
		"unknown user":  {w.broker.Login(), login(saslSHA256, "nobody", "x", tls...), credentials},
		"no login":      {w.broker.Login(), tls, ends},
		"login nowhere": {w.broker.Plaintext(), login(saslSHA256, apacheUser, "x"), "takes no login"},
		"authority":     {w.broker.Login(), encrypted(stranger, false), "TLS CA file"},
		"system's":      {w.broker.Login(), []string{"--kafka.tls.enabled"}, "TLS CA file"},
		"server name": {w.broker.Login(), append(tls, "--kafka.tls.server_name", "kafka.example"),
			"TLS server name"},
		"no certificate":   {w.broker.MutualTLS(), tls, wantsOurs},
		"plaintext to TLS": {w.broker.MutualTLS(), nil, ends},
		"TLS to plaintext": {w.broker.Plaintext(), tls, ends},
		"stranger": {w.broker.MutualTLS(), append(encrypted(stranger, true), "--kafka.tls.ca_file",
			own.CAFile), wantsOurs},
	} {
		t.Run(name, func(t *testing.T) {
			status, stderr := runLine(t, append([]string{"run", first, "--http.listen", "127.0.0.1:0",
				"--clickhouse.addr", w.cfg.ClickHouse.Addr, "--kafka.brokers", c.broker}, c.args...)...)
			checkLine(t, status, stderr, exitFailed, c.says)
			checkLine(t, status, stderr, exitFailed, c.broker)
		})
	}
}
