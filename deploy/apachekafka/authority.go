package apachekafka

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// certificateLife is longer than any test runs.
const certificateLife = 24 * time.Hour

// Authority is a certificate authority of its own, in a folder.
type Authority struct {
	// CAFile is its certificate in PEM, what clients and brokers trust.
	CAFile string

	dir         string
	certificate *x509.Certificate
	key         crypto.Signer
}

// NewAuthority makes an authority and writes its certificate into a folder.
func NewAuthority(dir string) (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	form := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "tollstream test authority"},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(certificateLife),
	}
	der, err := x509.CreateCertificate(rand.Reader, form, form, key.Public(), key)
	if err != nil {
		return nil, err
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	a := &Authority{CAFile: filepath.Join(dir, "ca.pem"), dir: dir, certificate: certificate,
		key: key}
	return a, os.WriteFile(a.CAFile, certificatePEM(der), 0o600)
}

// Issue makes a certificate with its key for a server on loopback or a client, and writes both as
// PEM files into the authority's folder.
func (a *Authority) Issue(name string) (certFile, keyFile string, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", "", err
	}
	form := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		NotBefore:   a.certificate.NotBefore, NotAfter: a.certificate.NotAfter,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, form, a.certificate, key.Public(), a.key)
	if err != nil {
		return "", "", err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return "", "", err
	}
	certFile = filepath.Join(a.dir, name+".pem")
	keyFile = filepath.Join(a.dir, name+".key.pem")
	if err := os.WriteFile(certFile, certificatePEM(der), 0o600); err != nil {
		return "", "", err
	}
	block := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})
	return certFile, keyFile, os.WriteFile(keyFile, block, 0o600)
}

func certificatePEM(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// joinFiles writes several files into one, which is how a broker takes a key with its certificate.
func joinFiles(to string, from ...string) error {
	var all []byte
	for _, path := range from {
		text, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("join %s: %w", to, err)
		}
		all = append(all, text...)
	}
	return os.WriteFile(to, all, 0o600)
}
