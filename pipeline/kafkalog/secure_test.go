package kafkalog

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/sasl/plain"
	"github.com/twmb/franz-go/pkg/kfake"
)

// selfSigned makes a certificate for 127.0.0.1 and the pool that trusts it.
func selfSigned(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	form := &x509.Certificate{SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true,
		NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, form, form, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

func TestTLSAndSASL(t *testing.T) {
	certificate, pool := selfSigned(t)
	cluster := newCluster(t, kfake.NumBrokers(1), kfake.SeedTopics(1, "calls"),
		kfake.TLS(&tls.Config{Certificates: []tls.Certificate{certificate}}),
		kfake.EnableSASL(), kfake.Superuser("PLAIN", "billd", "secret"))
	right := &kafka.Transport{TLS: &tls.Config{RootCAs: pool},
		SASL: plain.Mechanism{Username: "billd", Password: "secret"}}

	p, err := NewProducer(ProducerOptions{Brokers: cluster.ListenAddrs(), Transport: right})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if err := p.Produce(t.Context(), Outgoing{Topic: "calls", Value: []byte("a")}); err != nil {
		t.Fatal(err)
	}
	c := newClient(t, cluster, func(o *Options) { o.Transport = right })
	if got := readAll(t, c, "calls", 0, 0); len(got) != 1 {
		t.Fatal(got)
	}
	if _, err := c.Topic(t.Context(), "calls"); err != nil {
		t.Fatal(err)
	}
	g, err := NewGroup(GroupOptions{Brokers: cluster.ListenAddrs(), GroupID: "billing",
		Topics: []string{"calls"}, Dialer: Dialer(right)})
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Run(t.Context(), func(_ context.Context, gen *Generation) error {
		return gen.Commit(map[TopicPartition]int64{{"calls", 0}: 1})
	}); err != nil {
		t.Fatal(err)
	}
}

// TestWrongSecrets wants one line that names the cause and the cure. kfake closes the connection on
// a wrong password, which looks like a broker that is away and is retried; what Apache Kafka says
// is tested in cmd/tollstream.
func TestWrongSecrets(t *testing.T) {
	certificate, pool := selfSigned(t)
	cluster := newCluster(t, kfake.NumBrokers(1), kfake.SeedTopics(1, "calls"),
		kfake.TLS(&tls.Config{Certificates: []tls.Certificate{certificate}}),
		kfake.EnableSASL(), kfake.Superuser("PLAIN", "billd", "secret"))
	for word, x := range map[string]struct {
		transport *kafka.Transport
		retryFor  time.Duration
	}{
		"TLS and SASL settings": {&kafka.Transport{TLS: &tls.Config{RootCAs: pool},
			SASL: plain.Mechanism{Username: "billd", Password: "guess"}}, time.Second},
		"authority that signed": {&kafka.Transport{TLS: &tls.Config{}}, time.Minute},
	} {
		c := newClient(t, cluster, func(o *Options) {
			o.Transport, o.RetryFor = x.transport, x.retryFor
		})
		begin := time.Now()
		_, err := c.Fetch(t.Context(), "calls", 0, 0)
		if err == nil || !strings.Contains(err.Error(), word) ||
			strings.Contains(err.Error(), "\n") || time.Since(begin) > 10*time.Second {
			t.Errorf("%s: %v after %v", word, err, time.Since(begin))
		}
	}
}
