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
	mapFilter((k, v) -> v != '', map('channel', channel, 'action', action,
		'compare_source', compare_source, 'intention', ifNull(toString(intention), ''),
		'edition', edition)) AS dims,
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
	return watchGroup(ctx, t, nil)
}
