package clickhouse

import (
	"fmt"
	"io"
	"os"
	"testing"
	"time"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/stored"
)

// benchCalls are calls as a busy day has them: 200 accounts, a few channels, random ids.
func benchCalls(b testing.TB, n int, round int) []stored.Call {
	start := at(b, "2026-03-01T00:00:00+08:00")
	out := make([]stored.Call, n)
	for i := range out {
		k := round*n + i
		occurred := start + billing.Instant(k)*billing.Millisecond
		out[i] = call(fmt.Sprintf("%016x-%08x", stored.IDHash(fmt.Sprint(k)), k),
			fmt.Sprintf("1000%d", k*7919%200), occurred, occurred+billing.Second, int64(k))
		out[i].Arrival.Partition = int32(k % 12)
	}
	return out
}

// BenchmarkWriteCalls writes batches of calls with their deliveries to the embedded server.
func BenchmarkWriteCalls(b *testing.B) {
	const rows = 100_000
	s := newStore(b)
	var made time.Duration
	for i := 0; b.Loop(); i++ {
		start := time.Now()
		batch := batchOf(benchCalls(b, rows, i)...)
		made += time.Since(start)
		write(b, s, batch)
	}
	b.ReportMetric(float64(rows*b.N)/(b.Elapsed()-made).Seconds(), "rows/s")
}

// BenchmarkBlock is the client's part alone: columns of calls made into a block.
func BenchmarkBlock(b *testing.B) {
	const rows = 100_000
	calls := callsOf(benchCalls(b, rows, 0))
	s := newStore(b)
	types, err := s.columnsOf(b.Context(), "call_copies")
	if err != nil {
		b.Fatal(err)
	}
	made := newBlock()
	b.ReportAllocs()
	for b.Loop() {
		made.orderCalls(&calls, 0, rows)
		made.begin(types)
		s.writeCalls(made, &calls)
		if _, err := io.Copy(io.Discard, made); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(rows*b.N)/b.Elapsed().Seconds(), "rows/s")
}

// TestRates prints the rates of the sweep and the views over TOLLSTREAM_RATE_CALLS calls.
func TestRates(t *testing.T) {
	var n int
	if _, err := fmt.Sscan(os.Getenv("TOLLSTREAM_RATE_CALLS"), &n); err != nil {
		t.Skip("set TOLLSTREAM_RATE_CALLS, for example to 2000000")
	}
	const rows = 100_000
	s := newStore(t)
	start := time.Now()
	for i := range n / rows {
		write(t, s, batchOf(benchCalls(t, rows, i)...))
	}
	t.Logf("ingest of %d calls: %s", n, time.Since(start))
	for range 2 {
		r := sweep(t, s, billing.InstantOf(time.Now()), billing.DateOf(2026, time.March, 1))
		t.Logf("sweep of %d copies: %s s, %d rows", r.Copies, r.Seconds, r.Rows)
		for _, query := range []string{
			"count() FROM calls",
			"count() FROM calls WHERE account_id = '100017' AND day = '2026-03-01'",
			"count() FROM usage_daily",
			"count() FROM calls_billed WHERE account_id = '100017'",
		} {
			start := time.Now()
			rowTexts(t, s, "x", "FROM (SELECT "+query[:len("count()")]+" AS x"+query[len("count()"):]+")")
			t.Logf("%s: %s", query, time.Since(start).Round(time.Millisecond))
		}
		merge(t, s)
	}
	for _, line := range rowTexts(t, s, "table, sum(rows), sum(data_compressed_bytes), "+
		"sum(data_compressed_bytes)/sum(rows)", "FROM system.parts "+
		"WHERE active AND database = currentDatabase() AND rows > 1000 GROUP BY table") {
		t.Log("bytes a row: " + line)
	}
	for _, line := range rowTexts(t, s, "column, sum(column_data_compressed_bytes)/sum(rows)",
		"FROM system.parts_columns WHERE active AND database = currentDatabase() "+
			"AND table = 'call_copies' GROUP BY column ORDER BY sum(column_data_compressed_bytes)") {
		t.Log("call_copies bytes a row: " + line)
	}
}
