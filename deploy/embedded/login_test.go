package embedded

import (
	"testing"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/sasl/scram"
)

// TestBrokerWithAPassword lets in whoever knows the password, also after a restart, and nobody
// else.
func TestBrokerWithAPassword(t *testing.T) {
	options := BrokerOptions{Listen: "127.0.0.1:0", DataDir: t.TempDir(), User: "billing",
		Password: "open sesame", Topics: []Topic{{Name: "calls", Partitions: 1}}}
	for range 2 {
		broker := startBroker(t, options)
		for password, right := range map[string]bool{"open sesame": true, "sesame shut": false,
			"": false} {
			if err := describe(t, broker.Addr(), password); (err == nil) != right {
				t.Errorf("password %q: %v", password, err)
			}
		}
		_ = broker.Close()
	}
}

// describe asks the broker for its topics by each mechanism; an empty password does not log in.
func describe(t *testing.T, address, password string) error {
	t.Helper()
	for _, algorithm := range []scram.Algorithm{scram.SHA256, scram.SHA512} {
		transport := &kafka.Transport{}
		if password != "" {
			login, err := scram.Mechanism(algorithm, "billing", password)
			if err != nil {
				t.Fatal(err)
			}
			transport.SASL = login
		}
		client := &kafka.Client{Addr: kafka.TCP(address), Transport: transport}
		_, err := client.Metadata(t.Context(), &kafka.MetadataRequest{Topics: []string{"calls"}})
		transport.CloseIdleConnections()
		if err != nil {
			return err
		}
	}
	return nil
}
