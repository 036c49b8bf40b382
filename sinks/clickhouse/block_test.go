package clickhouse

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/stored"
)

// TestBlocksAreRows: calls and deliveries that are made into blocks are, in every column, those
// that the driver makes of the same rows, whatever the compression and however many a block has.
func TestBlocksAreRows(t *testing.T) {
	rows := randomWorld(t, rand.New(rand.NewPCG(3, 4)), 300)
	for i := range rows {
		// More than fit in a byte; rows of one place are one row.
		rows[i].SDK.Version = fmt.Sprint("v", rows[i].Arrival.Partition, rows[i].Arrival.Offset)
		if rows[i].Arrival.Offset%7 == 0 {
			rows[i].Main, rows[i].Cohort, rows[i].NoTag = "", "", "nobody knows — 没有"
		}
	}
	world := batchOf(rows...)
	reasons := []billing.Reason{"", billing.UnknownAccount, billing.NotJSON}
	list := list(world.Deliveries.Len(), world.Deliveries.At)
	for i := range list {
		at := int(list[i].Arrival.Offset)
		list[i].Reason, list[i].Outcome = reasons[at%3], stored.Outcomes[at%len(stored.Outcomes)]
	}
	world.Deliveries = deliveriesOf(list)
	tables := func(s *Store) []string {
		return append(rowTexts(t, s, "tuple(*,id_hash,ver)", "FROM call_copies FINAL ORDER BY ALL"),
			rowTexts(t, s, "tuple(*)", "FROM deliveries FINAL ORDER BY ALL")...)
	}
	byDriver := newStore(t)
	for table, columns := range map[string][]column{
		"call_copies": copyColumns(&world.Calls, testDims),
		"deliveries":  deliveryColumns(&world.Deliveries),
	} {
		if err := byDriver.insert(t.Context(), table, columns); err != nil {
			t.Fatal(err)
		}
	}
	want := tables(byDriver)
	for compression, together := range map[string]int{"none": 1000, "lz4": 77, "zstd": 1} {
		s := newStore(t)
		s.options.Compression, s.blockRowsMax = compression, together
		busy, err := s.conn.Query(t.Context(), "SELECT 1") // so that another connection is made
		if err != nil {
			t.Fatal(err)
		}
		write(t, s, world)
		if err := busy.Close(); err != nil {
			t.Fatal(err)
		}
		if have := tables(s); !slices.Equal(have, want) {
			t.Errorf("%s, %d together: %s", compression, together, firstDifference(have, want))
		}
	}
}

// TestWidths: dictionaries of more values than fit in one byte, or in two, are read back.
func TestWidths(t *testing.T) {
	for n, want := range map[int]uint64{1: 0, 256: 0, 257: 1, 65536: 1, 65537: 2} {
		if have := widthOf(n); have != want {
			t.Errorf("%d values have keys of width %d, not %d", n, have, want)
		}
	}
	s := newStore(t)
	const n = 70_000
	day := at(t, "2026-03-01T10:00:00+08:00")
	rows := make([]stored.Call, n)
	for i := range rows {
		rows[i] = call(fmt.Sprint("c", i), "acc", day, day, int64(i))
		rows[i].SDK.Version = fmt.Sprint("v", i)
	}
	calls := callsOf(rows)
	if err := s.insertCalls(t.Context(), &calls); err != nil {
		t.Fatal(err)
	}
	have := rowTexts(t, s, "countIf(sdk_version=concat('v',toString(offset)))", "FROM call_copies")
	if !slices.Equal(have, []string{fmt.Sprint(n)}) {
		t.Errorf("%s of %d versions are right", have, n)
	}
}
