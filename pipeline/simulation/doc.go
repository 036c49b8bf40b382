// Package simulation plays the world around the loops of the stream (ingest, usage, settle): Kafka
// logs, a consumer group, output topics and the store, in memory and in virtual time, with faults
// at every edge. Its tests run the real loops in it and hold what comes out against the naive
// biller, the batch and the producer's own record.
//
// A world is a function of its seed. The loops run as they are, in a bubble of testing/synctest, so
// that time moves only when all of them wait. Whatever a loop does to the world is a turn: it asks
// for it and waits, and the schedule, when every goroutine waits, takes one turn after another in
// the order of their virtual times. What happens when is drawn from the seed and the number of the
// turn alone; which goroutine runs first never matters.
//
// The models are sets as the tables of schemas/clickhouse are, kept as small as the promises of the
// Store interfaces; TestModelIsClickHouse in sinks/clickhouse holds them to the embedded one. This
// package decides no number and is used by tests only.
package simulation
