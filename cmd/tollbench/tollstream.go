package main

import "context"

// tollstream is the program itself, as in production: `tollstream run` with the role ingest. Beside
// the calls it reads the account events, tags each call, and stores what stood at each offset.
type tollstream struct{}

func (tollstream) name() string { return "tollstream" }

func (tollstream) start(ctx context.Context, t *target) (reading, error) {
	p, err := startIngest(t)
	if err != nil {
		return nil, err
	}
	return watchGroup(ctx, t.inGroup(), p)
}

const ingestRole = "ingest"

// startIngest starts a process of the program that reads the target's topic.
func startIngest(t *target) (*process, error) {
	return startProcess(t.folder, t.program, "run", "--roles", ingestRole,
		"--kafka.brokers", t.broker, "--kafka.group", t.group,
		"--clickhouse.addr", t.clickhouse, "--clickhouse.database", t.database,
		"--clickhouse.compression", "none", // as the other contenders: all is on one machine
		"--time.mode", "simulated_time", "--http.listen", "127.0.0.1:0", "--log.level", "warn")
}

// inGroup is the target with the consumer group that the program makes of the one it is given.
func (t *target) inGroup() *target {
	in := *t
	in.group += "-" + ingestRole
	return &in
}
