// Package apachekafka runs a real Apache Kafka broker for tests: one node in KRaft mode, in a
// process of its own, on free ports of this machine. `make test-kafka` installs the jars.
//
// It owns: the broker's folder and settings, its certificates and users, its life (start, stop,
// kill, restart on the same ports), and its time of day. It does not own topics or any client.
//
// The broker is Apache's, byte for byte, but for the class that tells it the time of day: the one
// in clock/ stands before it on the class path, so that a test can play a month of append times in
// seconds (Options.Clock, Broker.SetClock). Unless it is told otherwise the time is the machine's.
//
// It is no server for production: one replica, small heap, users with known passwords.
package apachekafka
