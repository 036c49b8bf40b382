package main

import (
	"context"
	"slices"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// contender is one way of getting the calls of the topic into ClickHouse.
type contender interface {
	name() string
	// start begins to read the topic's calls from their first offset into the table call_copies of
	// the target, which is there and empty.
	start(ctx context.Context, t *target) (reading, error)
}

// reading is a contender at work.
type reading interface {
	// pid is the process that reads; 0 where ClickHouse does it itself.
	pid() int
	// began waits until the reading begins: who started, joined a group or prepared something has
	// done so.
	began(ctx context.Context) error
	// done waits until every record is stored and, by those that commit, committed.
	done(ctx context.Context) error
	stop()
}

// target is where a contender reads from and writes to in one run.
type target struct {
	self, program string // this binary, and tollstream
	folder        string // for logs and other files of the run
	broker        string // host:port
	partitions    int    // of the topic
	group         string // consumer group of this run
	clickhouse    string // host:port of the HTTP interface
	database      string
	conn          driver.Conn // to that database
	blocks        string      // folder with ready blocks
}

// all are the contenders in the order in which they run in each round.
func all() []contender {
	return []contender{tollstream{}, kafkaEngine{}, usual{}, fetchFloor{}, insertFloor{}}
}

// chosen are those of all contenders that are named, and tollstream, which they are compared with;
// all where none is named.
func chosen(only []string) []contender {
	if len(only) == 0 {
		return all()
	}
	return slices.DeleteFunc(all(), func(c contender) bool {
		return c.name() != tollstream{}.name() && !slices.Contains(only, c.name())
	})
}
