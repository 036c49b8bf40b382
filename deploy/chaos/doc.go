// Package chaos runs the built program as real processes on the embedded servers, hurts all of them
// by a seed while records flow, and then wants everything to be as if nothing had happened.
//
// It owns: the processes with their supervisor, proxies in front of both servers, the producer, the
// plan of faults, and the comparison at the end. It does not own bills: what is right is said by
// pipeline/naive and pipeline/batch over the records that are in the log.
//
// What is hurt, and how:
//
//   - kill -9 of the ingest processes, the settle processes, ClickHouse and the broker
//   - SIGSTOP and, some seconds later, SIGCONT of any of them
//   - processes that leave in order and come back, so that partitions and leadership move
//   - answers that get lost after the request was carried out, requests and answers that break off
//     in the middle, connections that are cut, answers that are slow
//   - a full disk: the broker's writes fail (limit_linux.go says how), ClickHouse's answer to every
//     INSERT is the one that it gives when the disk is full, from the proxy
//   - the producer: repeats after sends of unknown outcome, sends that are given up, disorder,
//     duplicates, conflicts, late and malformed records
//
// The seed decides what is done, to whom and after which pause. What a process is doing at that
// moment is up to the machine, so a failure may need its seed more than once; the folder with the
// timeline, the logs and the data of a round that failed is kept.
package chaos
