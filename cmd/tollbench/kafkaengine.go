package main

import (
	"context"
	"fmt"
)

// kafkaEngine is ClickHouse's own table engine for Kafka with a materialized view. It tags nothing
// and keeps no books. How it was tuned is in docs/benchmarks.md.
type kafkaEngine struct{}

func (kafkaEngine) name() string { return "Kafka engine" }

const queueTable = `CREATE TABLE queue (call_id String, account_id String,
	occurred_at DateTime64(6, 'Asia/Shanghai'), result_code String, need_charge Nullable(Bool),
	channel String, action String, compare_source String, intention Nullable(Bool), edition String,
	sdk Tuple(platform String, name String, version String))
ENGINE = Kafka SETTINGS kafka_broker_list = '%s', kafka_topic_list = '%s',
	kafka_group_name = '%s', kafka_format = 'JSONEachRow', kafka_num_consumers = 2,
	kafka_thread_per_consumer = 1, kafka_max_block_size = 100000,
	kafka_poll_max_batch_size = 100000, kafka_flush_interval_ms = 1000,
	date_time_input_format = 'best_effort'`

const queueView = `CREATE MATERIALIZED VIEW queue_view TO call_copies AS
SELECT call_id, account_id, occurred_at,
	CAST((
		arrayConcat(if(channel = '', [], ['channel']), if(action = '', [], ['action']),
			if(compare_source = '', [], ['compare_source']),
			if(intention IS NULL, [], ['intention']), if(edition = '', [], ['edition'])),
		arrayConcat(if(channel = '', [], [channel]), if(action = '', [], [action]),
			if(compare_source = '', [], [compare_source]),
			if(intention IS NULL, [], [toString(assumeNotNull(intention))]),
			if(edition = '', [], [edition]))), 'Map(String, String)') AS dims,
	result_code, ifNull(toString(need_charge), '') AS need_charge,
	sdk.platform AS sdk_platform, sdk.name AS sdk_name, sdk.version AS sdk_version,
	_topic AS topic, _partition AS partition, _offset AS offset, _timestamp_ms AS appended_at
FROM queue`

func (kafkaEngine) start(ctx context.Context, t *target) (reading, error) {
	err := t.conn.Exec(ctx, fmt.Sprintf(queueTable, t.broker, callsTopic, t.group))
	if err != nil {
		return nil, fmt.Errorf("the Kafka engine's table: %w", err)
	}
	if err := t.conn.Exec(ctx, queueView); err != nil {
		return nil, fmt.Errorf("the Kafka engine's view: %w", err)
	}
	g, err := watchGroup(ctx, t, nil)
	return engineReading{g, t}, err
}

// engineReading is watched as a group, save for the beginning: its consumers may join one after the
// other, and the group is then stable for a moment only before the second one unsettles it.
type engineReading struct {
	*groupReading
	target *target
}

// began waits until one of the consumers has had partitions.
func (e engineReading) began(ctx context.Context) error {
	return e.until(ctx, "join", func() (joined bool, err error) {
		err = e.target.conn.QueryRow(ctx, "SELECT count() > 0 FROM system.kafka_consumers "+
			"WHERE num_rebalance_assignments > 0").Scan(&joined)
		return joined, err
	})
}
