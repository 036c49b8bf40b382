package main

import "context"

// tollstream is the program itself, as in production: `tollstream run` with the role ingest. Beside
// the calls it reads the account events, tags each call, and stores what stood at each offset.
type tollstream struct{}

func (tollstream) name() string { return "tollstream" }

func (tollstream) start(ctx context.Context, t *target) (reading, error) {
	role := "ingest"
	p, err := startProcess(t.folder, t.program, "run", "--roles", role,
		"--kafka.brokers", t.broker, "--kafka.group", t.group,
		"--clickhouse.addr", t.clickhouse, "--clickhouse.database", t.database,
		"--clickhouse.compression", "none", // as the other contenders: all is on one machine
		"--time.mode", "simulated_time", "--http.listen", "127.0.0.1:0", "--log.level", "warn")
	if err != nil {
		return nil, err
	}
	t.group += "-" + role
	return watchGroup(ctx, t, p)
}
