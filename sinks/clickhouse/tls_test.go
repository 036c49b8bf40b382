package clickhouse

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"testing"

	"tollstream/deploy/apachekafka"
)

// TestTLS speaks to the server through a proxy that ends the encryption, and asks for a certificate
// where the server would: rightly, and with each setting wrong once.
func TestTLS(t *testing.T) {
	plain := newStore(t).options
	own, other := authority(t), authority(t)
	open, mutual := tlsProxy(t, own, false), tlsProxy(t, own, true)
	for _, test := range []struct {
		name, addr string
		tls        func() (*tls.Config, error)
		want       string // part of the error; "" where there is none
	}{
		{"right", open, own.client("", ""), ""},
		{"right with a certificate", mutual, own.client("tollstream", ""), ""},
		{"stranger's authority", open, other.client("", ""), "clickhouse.tls.ca_file"},
		{"system's authorities", open, trustSystem, "clickhouse.tls.ca_file"},
		{"another name", open, own.client("", "clickhouse.example"), "clickhouse.tls.server_name"},
		{"no certificate", mutual, own.client("", ""), "clickhouse.tls.cert_file"},
		{"stranger's certificate", mutual, stranger(own, other), "clickhouse.tls.cert_file"},
		{"TLS to plain", plain.Addr, own.client("", ""), "does not speak TLS"},
		{"plain to TLS", open, nil, "the port speaks TLS"},
	} {
		o := plain
		o.Addr, o.TLS = test.addr, test.tls
		s, err := Open(t.Context(), o)
		if err == nil {
			err = s.Ready(t.Context())
			_ = s.Close()
		}
		if test.want == "" && err != nil || test.want != "" && err == nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		if err == nil {
			continue
		}
		text := err.Error()
		if !strings.Contains(text, test.want) || !strings.Contains(text, test.addr) ||
			strings.Contains(text, "\n") || strings.Contains(text, o.Password) || IsTransient(err) {
			t.Errorf("%s: %q, transient %t", test.name, text, IsTransient(err))
		}
	}
}

// TestTLSOfTheNativeProtocol: a port that does not answer in TLS is told as that.
func TestTLSOfTheNativeProtocol(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // a test
	go func() {
		for c, err := l.Accept(); err == nil; c, err = l.Accept() {
			_, _ = c.Write([]byte("no TLS here\n"))
			_ = c.Close()
		}
	}()
	_, err = Open(t.Context(), Options{Addr: l.Addr().String(), Protocol: Native,
		TLS: authority(t).client("", "")})
	if err == nil || !strings.Contains(err.Error(), "does not speak TLS") {
		t.Errorf("%v", err)
	}
}

// testAuthority issues certificates for one test.
type testAuthority struct {
	*apachekafka.Authority
	t *testing.T
}

func authority(t *testing.T) testAuthority {
	t.Helper()
	a, err := apachekafka.NewAuthority(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return testAuthority{a, t}
}

func (a testAuthority) pool() *x509.CertPool {
	pem, err := os.ReadFile(a.CAFile)
	pool := x509.NewCertPool()
	if err != nil || !pool.AppendCertsFromPEM(pem) {
		a.t.Fatal("no certificate of the authority", err)
	}
	return pool
}

func (a testAuthority) issue(name string) []tls.Certificate {
	certFile, keyFile, err := a.Issue(name)
	if err != nil {
		a.t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		a.t.Fatal(err)
	}
	return []tls.Certificate{pair}
}

// client trusts the authority and shows a certificate of it where a name is given.
func (a testAuthority) client(name, server string) func() (*tls.Config, error) {
	c := &tls.Config{RootCAs: a.pool(), ServerName: server}
	if name != "" {
		c.Certificates = a.issue(name)
	}
	return func() (*tls.Config, error) { return c, nil }
}

// stranger trusts the server and shows a certificate that the server does not know.
func stranger(own, other testAuthority) func() (*tls.Config, error) {
	c := &tls.Config{RootCAs: own.pool()}
	pair := other.issue("stranger")[0]
	// Without this the client would see that the server names other authorities, and show none.
	c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		return &pair, nil
	}
	return func() (*tls.Config, error) { return c, nil }
}

func trustSystem() (*tls.Config, error) { return &tls.Config{}, nil }

// tlsProxy ends TLS in front of the embedded server, and gives its address.
func tlsProxy(t *testing.T, a testAuthority, clients bool) string {
	t.Helper()
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: server.Addr()})
	s := httptest.NewUnstartedServer(proxy)
	s.TLS = &tls.Config{Certificates: a.issue("server"), ClientCAs: a.pool()}
	if clients {
		s.TLS.ClientAuth = tls.RequireAndVerifyClientCert
	}
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}
