package apachekafka

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/segmentio/kafka-go"

	"tollstream/deploy/child"
)

const (
	// readyMax bounds the start of the broker; 4 s on an idle machine of 2 cores.
	readyMax = 120 * time.Second
	// stopMax bounds the wait after SIGTERM, after which the broker is killed.
	stopMax = 60 * time.Second
	// logLinesMax bounds what is shown of the broker's log when it does not start.
	logLinesMax = 12
)

// Options say how to run a broker.
type Options struct {
	// Home is the folder that `make test-kafka` installs: libs with the jars, clock with the class
	// that tells the time of day. Required.
	Home string
	// Dir is the broker's own folder, empty or new. Required.
	Dir string
	// Users may log in at the SASL_SSL listener, by PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512. The
	// values are their passwords.
	Users map[string]string
	// Clock is the broker's time of day at its start; zero is the machine's.
	Clock time.Time
	// Settings are further lines of server.properties; they win over the package's own.
	Settings map[string]string
}

// Broker is a running Apache Kafka.
type Broker struct {
	options   Options
	addresses map[string]string // by listener
	authority *Authority
	log       *os.File
	moved     atomic.Int64 // how far the time of day is moved, nanoseconds
	command   *exec.Cmd
	exited    <-chan struct{}
}

// Start formats the folder, starts a broker and returns when it answers. The broker does not
// outlive this process.
func Start(ctx context.Context, o Options) (*Broker, error) {
	b := &Broker{options: o}
	var err error
	if b.options.Home, err = filepath.Abs(o.Home); err != nil {
		return nil, err
	}
	for _, part := range []string{"libs", "clock"} {
		if _, err := os.Stat(b.installed(part)); err != nil {
			return nil, fmt.Errorf("start Apache Kafka: not installed: %w; run: make test-kafka", err)
		}
	}
	if err := b.prepare(); err != nil {
		return nil, fmt.Errorf("prepare Apache Kafka in %s: %w", o.Dir, err)
	}
	if err := b.format(ctx); err != nil {
		return nil, err
	}
	if err := b.Restart(ctx); err != nil {
		b.Close()
		return nil, err
	}
	return b, nil
}

// prepare writes everything into the broker's folder that it reads.
func (b *Broker) prepare() (err error) {
	if err := os.MkdirAll(b.options.Dir, 0o750); err != nil {
		return err
	}
	if b.addresses, err = freePorts(); err != nil {
		return err
	}
	if b.authority, err = NewAuthority(b.options.Dir); err != nil {
		return err
	}
	certFile, keyFile, err := b.authority.Issue("broker")
	if err != nil {
		return err
	}
	if err := joinFiles(b.path("server.pem"), keyFile, certFile); err != nil {
		return err
	}
	if err := os.WriteFile(b.path("log4j2.properties"), []byte(logging), 0o600); err != nil {
		return err
	}
	clock := b.options.Clock
	if clock.IsZero() {
		clock = time.Now()
	}
	if err := b.moveClock(clock); err != nil {
		return err
	}
	if b.log, err = os.Create(b.LogFile()); err != nil {
		return err
	}
	return b.writeProperties()
}

// format gives the folder the cluster's identity and its first records, the users among them.
func (b *Broker) format(ctx context.Context) error {
	arguments := []string{"kafka.tools.StorageTool", "format", "--standalone",
		"--cluster-id", clusterID, "--config", b.path("server.properties")}
	for name, password := range b.options.Users {
		for _, mechanism := range []string{"SCRAM-SHA-256", "SCRAM-SHA-512"} {
			arguments = append(arguments, "--add-scram",
				fmt.Sprintf("%s=[name=%s,password=%s]", mechanism, name, password))
		}
	}
	if out, err := b.java(ctx, arguments...).CombinedOutput(); err != nil {
		return fmt.Errorf("format the storage of Apache Kafka: %w: %s", err, out)
	}
	return nil
}

// clusterID is any 16 bytes; clusters of tests never meet.
const clusterID = "dG9sbHN0cmVhbS10ZXN0cw"

// java makes a command with the broker's classes, ended with the context.
func (b *Broker) java(ctx context.Context, arguments ...string) *exec.Cmd {
	classes := b.installed("clock") + string(os.PathListSeparator) +
		filepath.Join(b.installed("libs"), "*")
	return exec.CommandContext(ctx, "java", append([]string{
		"-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", // a fast start matters most
		"-Dtollstream.clock=" + b.path(clockFile),
		"-Dlog4j2.configurationFile=" + b.path("log4j2.properties"),
		"-cp", classes}, arguments...)...)
}

// Restart starts a broker that was stopped or killed, in its folder and on its ports, and returns
// when it answers.
func (b *Broker) Restart(ctx context.Context) error {
	b.command = b.java(context.WithoutCancel(ctx), "kafka.Kafka", b.path("server.properties"))
	b.command.Stdout, b.command.Stderr = b.log, b.log
	var err error
	if b.exited, err = child.Start(b.command, nil); err != nil {
		return fmt.Errorf("start Apache Kafka: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, readyMax)
	defer cancel()
	client := &kafka.Client{Addr: kafka.TCP(b.Plaintext()), Transport: &kafka.Transport{}}
	for {
		err := answers(ctx, client)
		if err == nil {
			return nil
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-b.exited:
			return fmt.Errorf("start Apache Kafka: it ended; its log says:\n%s", b.complaints())
		case <-ctx.Done():
			return fmt.Errorf("start Apache Kafka: no answer at %s: %w; its log says:\n%s",
				b.Plaintext(), err, b.complaints())
		}
	}
}

// answers asks whether the broker has taken up its work: it is then its own cluster's controller.
func answers(ctx context.Context, client *kafka.Client) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	defer client.Transport.(*kafka.Transport).CloseIdleConnections()
	metadata, err := client.Metadata(ctx, &kafka.MetadataRequest{})
	if err == nil && len(metadata.Brokers) == 0 {
		err = errors.New("the broker is not registered yet")
	}
	return err
}

// Plaintext is the address, host:port, of the listener without encryption and login.
func (b *Broker) Plaintext() string { return b.addresses[plaintext] }

// MutualTLS is the address of the listener that is encrypted and wants a certificate of the client.
func (b *Broker) MutualTLS() string { return b.addresses[mutualTLS] }

// Login is the address of the listener that is encrypted and wants a user and a password.
func (b *Broker) Login() string { return b.addresses[login] }

// Authority signs the broker's certificate, and is the one it trusts.
func (b *Broker) Authority() *Authority { return b.authority }

// LogFile is where the broker logs to, over restarts too.
func (b *Broker) LogFile() string { return b.path("broker.log") }

// Stop ends the broker in order: what it has is on disk, and it takes leave of its clients.
func (b *Broker) Stop() {
	_ = b.command.Process.Signal(syscall.SIGTERM)
	select {
	case <-b.exited:
	case <-time.After(stopMax):
		b.Kill()
	}
}

// Kill ends the broker at once, as a crash would, and waits until it is gone.
func (b *Broker) Kill() {
	_ = b.command.Process.Kill()
	<-b.exited
}

// Close kills the broker, if it runs, and closes its log. The folder stays.
func (b *Broker) Close() {
	if b.exited != nil {
		b.Kill()
	}
	_ = b.log.Close()
}

func (b *Broker) path(name string) string { return filepath.Join(b.options.Dir, name) }

func (b *Broker) installed(name string) string { return filepath.Join(b.options.Home, name) }

// complaints are the errors in the broker's log, or its end where it has none.
func (b *Broker) complaints() string {
	text, err := os.ReadFile(b.LogFile())
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	var errors []string
	for _, line := range lines {
		if strings.Contains(line, " ERROR ") || strings.HasPrefix(line, "Caused by: ") {
			errors = append(errors, line)
		}
	}
	if len(errors) == 0 {
		errors = lines
	}
	return strings.Join(errors[max(0, len(errors)-logLinesMax):], "\n")
}
