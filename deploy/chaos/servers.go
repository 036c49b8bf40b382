package chaos

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"tollstream/deploy/embedded"
)

// Topics and group as they are by default, the call topic with several partitions.
const (
	callsTopic      = "faceid.calls"
	eventsTopic     = "billing.account-events"
	billsTopic      = "billing.bills"
	ingestGroup     = "tollstream-ingest"
	callPartitions  = 3
	eventPartitions = 1
)

// The broker is a process of this very binary; it gets its options by environment.
const (
	brokerListen    = "TOLLSTREAM_CHAOS_BROKER_LISTEN"
	brokerAdvertise = "TOLLSTREAM_CHAOS_BROKER_ADVERTISE"
	brokerFolder    = "TOLLSTREAM_CHAOS_BROKER_FOLDER"
)

// ServeBroker is the broker's process, where the environment says that this is one: it serves until
// it is told to end, and served is true.
func ServeBroker() (served bool, err error) {
	if os.Getenv(brokerListen) == "" {
		return false, nil
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	broker, err := embedded.StartBroker(embedded.BrokerOptions{
		Listen: os.Getenv(brokerListen), Advertise: os.Getenv(brokerAdvertise),
		DataDir: os.Getenv(brokerFolder), SyncWrites: true,
		Topics: []embedded.Topic{{Name: callsTopic, Partitions: callPartitions},
			{Name: eventsTopic, Partitions: eventPartitions}},
	})
	if err != nil {
		return true, err
	}
	<-ctx.Done()
	return true, broker.Close()
}

// startBroker makes the start of the broker's process.
func startBroker(folder, listen, advertise string) func(context.Context) (*running, error) {
	return func(ctx context.Context) (*running, error) {
		self, err := os.Executable()
		if err != nil {
			return nil, err
		}
		return command(filepath.Join(folder, "broker.log"), self, []string{
			brokerListen + "=" + listen, brokerAdvertise + "=" + advertise,
			brokerFolder + "=" + filepath.Join(folder, "kafka"),
		})(ctx)
	}
}

// startClickHouse makes the start of ClickHouse.
func startClickHouse(folder, listen, binary string) func(context.Context) (*running, error) {
	return func(ctx context.Context) (*running, error) {
		log, err := os.OpenFile(filepath.Join(folder, "clickhouse.log"),
			os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return nil, err
		}
		options := embedded.ClickHouseOptions{Executable: binary, LogWriter: log}
		options.Listen, options.DataDir = listen, filepath.Join(folder, "clickhouse")
		c, err := embedded.StartClickHouse(ctx, options)
		if err != nil {
			_ = log.Close()
			return nil, err
		}
		return &running{pid: c.PID(), exited: c.Exited(), free: func() string {
			c.Kill() // it has ended; this closes what leads to it
			_ = log.Close()
			return "see clickhouse.log"
		}}, nil
	}
}

// freeAddress is an address of this machine that nothing listens on.
func freeAddress() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	return listener.Addr().String(), listener.Close()
}
