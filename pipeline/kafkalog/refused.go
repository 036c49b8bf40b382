package kafkalog

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/segmentio/kafka-go"
)

// Refused says that we and a broker do not agree on who the other is. Waiting does not cure it.
type Refused struct {
	Op      string
	Brokers []string
	Err     error
	Hint    string // what to do
}

func (e *Refused) Error() string {
	return fmt.Sprintf("%s: refused at %s: %v; %s", e.Op, strings.Join(e.Brokers, ","),
		oneLine(e.Err), e.Hint)
}

func (e *Refused) Unwrap() error { return e.Err }

// refusalHint says what to do about an error of certificates and logins, "" for any other.
func refusalHint(err error) string {
	var name x509.HostnameError
	var verify *tls.CertificateVerificationError
	var connection *net.OpError
	switch {
	case errors.Is(err, kafka.SASLAuthenticationFailed):
		return "correct the SASL user, password or mechanism"
	case errors.Is(err, kafka.UnsupportedSASLMechanism), errors.Is(err, kafka.IllegalSASLState):
		return "the port takes no login, or not that one: choose another SASL mechanism, or the port " +
			"of a listener with a login"
	case errors.As(err, &name):
		return "connect by a name in the broker's certificate, or give that name as the TLS server " +
			"name"
	case errors.As(err, &verify):
		return "give the file of the authority that signed the broker's certificate (TLS CA file)"
	case errors.As(err, &connection) && connection.Op == "remote error": // a TLS alert
		return "the broker wants a certificate of ours that it trusts: give the TLS certificate and " +
			"key files"
	}
	return ""
}
