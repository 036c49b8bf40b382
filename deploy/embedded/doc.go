// Package embedded runs the two servers of the pipeline without Docker and without installing
// them: a Kafka broker inside this process, and ClickHouse in a process of its own.
//
// It owns: the broker (franz-go's kfake with a data folder on a real TCP port), the binding of
// libchdb, the HTTP server that speaks ClickHouse's HTTP interface over it, the child process that
// server runs in, and the lock on each data folder.
//
// It does not own: tables, topics' meaning, migrations, or any choice between these servers and
// real ones. Callers talk to both over TCP with unchanged clients, so a real Kafka and a real
// ClickHouse take their place by changing two addresses.
//
// Invariants: both listen on loopback only; one process at a time holds a data folder; an INSERT is
// answered with 200 only after the engine has committed it; what was answered survives kill -9.
//
// One thing a real ClickHouse does and this one does not: chDB has taken out the error of a write
// that fails, so an INSERT or a merge whose files could not be written is committed with empty
// ones. A disk without space is refused before that, by the space that the engine reserves (243).
package embedded
