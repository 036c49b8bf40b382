package apachekafka

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strings"
)

// The listeners, by Kafka's names.
const (
	plaintext = "PLAINTEXT"
	mutualTLS = "SSL" // wants a certificate of the client
	login     = "SASL_SSL"
	control   = "CONTROLLER"
)

const protocols = "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_SSL:SASL_SSL"

var listeners = []string{plaintext, mutualTLS, login, control}

// Ports are taken below those that systems give to outgoing connections, so that none of these
// takes the broker's port while it is down, or connects to itself.
const portMin, portMax = 10_000, 32_000

// freePorts finds an address on loopback for each listener.
func freePorts() (map[string]string, error) {
	addresses := map[string]string{}
	var held []net.Listener
	defer func() {
		for _, l := range held {
			_ = l.Close()
		}
	}()
	for range 1000 {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", portMin+rand.IntN(portMax-portMin)))
		if err != nil {
			continue // taken
		}
		held = append(held, l)
		addresses[listeners[len(addresses)]] = l.Addr().String()
		if len(addresses) == len(listeners) {
			return addresses, nil
		}
	}
	return nil, fmt.Errorf("no free ports between %d and %d", portMin, portMax)
}

// writeProperties writes server.properties.
func (b *Broker) writeProperties() error {
	var listen []string
	for _, name := range listeners {
		listen = append(listen, name+"://"+b.addresses[name])
	}
	settings := map[string]string{
		"process.roles":                       "broker,controller",
		"node.id":                             "1",
		"controller.quorum.bootstrap.servers": b.addresses[control],
		"controller.listener.names":           control,
		"listeners":                           strings.Join(listen, ","),
		"advertised.listeners":                strings.Join(listen[:len(listen)-1], ","),
		"listener.security.protocol.map":      protocols,
		"log.dirs":                            b.path("data"),

		"ssl.keystore.type":                                     "PEM",
		"ssl.keystore.location":                                 b.path("server.pem"),
		"ssl.truststore.type":                                   "PEM",
		"ssl.truststore.location":                               b.authority.CAFile,
		"listener.name.ssl.ssl.client.auth":                     "required",
		"listener.name.sasl_ssl.sasl.enabled.mechanisms":        "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
		"listener.name.sasl_ssl.plain.sasl.jaas.config":         plainUsers(b.options.Users),
		"listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config": scramModule,
		"listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": scramModule,

		// One node, and a start as fast as may be.
		"offsets.topic.replication.factor":         "1",
		"offsets.topic.num.partitions":             "4",
		"transaction.state.log.replication.factor": "1",
		"transaction.state.log.min.isr":            "1",
		"transaction.state.log.num.partitions":     "4",
		"group.initial.rebalance.delay.ms":         "0",
		// A broker that was killed may come back when its session is over, so that is short.
		"broker.session.timeout.ms":    "3000",
		"broker.heartbeat.interval.ms": "500",
		"auto.create.topics.enable":    "false",

		// Nothing expires because a test moves the clock by days.
		"offsets.retention.minutes":      "100000000",
		"producer.id.expiration.ms":      "2000000000",
		"transactional.id.expiration.ms": "2000000000",
		"transaction.max.timeout.ms":     "2000000000",
	}
	maps.Copy(settings, b.options.Settings)
	var text strings.Builder
	for _, key := range slices.Sorted(maps.Keys(settings)) {
		fmt.Fprintf(&text, "%s=%s\n", key, settings[key])
	}
	return os.WriteFile(b.path("server.properties"), []byte(text.String()), 0o600)
}

const scramModule = "org.apache.kafka.common.security.scram.ScramLoginModule required;"

func plainUsers(users map[string]string) string {
	module := "org.apache.kafka.common.security.plain.PlainLoginModule required"
	for _, name := range slices.Sorted(maps.Keys(users)) {
		module += fmt.Sprintf(" user_%s=%q", name, users[name])
	}
	return module + ";"
}

// logging is log4j's configuration: all to stdout, which goes to the broker's log file.
const logging = `rootLogger.level = INFO
rootLogger.appenderRef.out.ref = out
logger.settings.name = org.apache.kafka.common.config
logger.settings.level = WARN
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d{ISO8601} %p %m (%c{1})%n
`
