package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/sasl"
	"github.com/segmentio/kafka-go/sasl/plain"
	"github.com/segmentio/kafka-go/sasl/scram"
)

// Load makes the TLS settings of a connection, nil where it is not encrypted. section names the
// settings in errors.
func (t *TLSConfig) Load(section string) (*tls.Config, error) {
	if !t.Enabled {
		return nil, nil
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName}
	if t.CAFile != "" {
		pem, err := os.ReadFile(t.CAFile)
		if err != nil {
			return nil, fmt.Errorf("%s.ca_file: %w: %w", section, err, errUsage)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s.ca_file: %s holds no PEM certificate: %w", section, t.CAFile,
				errUsage)
		}
	}
	if t.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("%s.cert_file and key_file: %w: %w", section, err, errUsage)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// Transport makes kafka-go's transport with our encryption and login; kafkalog copies its fields.
func (k *KafkaConfig) Transport() (*kafka.Transport, error) {
	encryption, err := k.TLS.Load("kafka.tls")
	if err != nil {
		return nil, err
	}
	login, err := k.SASL.login()
	if err != nil {
		return nil, fmt.Errorf("kafka.sasl: %w: %w", err, errUsage)
	}
	return &kafka.Transport{ClientID: k.ClientID, TLS: encryption, SASL: login}, nil
}

func (s *SASLConfig) login() (sasl.Mechanism, error) {
	switch s.Mechanism {
	case saslPlain:
		return plain.Mechanism{Username: s.User, Password: string(s.Password)}, nil
	case saslSHA256:
		return scram.Mechanism(scram.SHA256, s.User, string(s.Password))
	case saslSHA512:
		return scram.Mechanism(scram.SHA512, s.User, string(s.Password))
	}
	return nil, nil
}
