package stored_test

import (
	"testing"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/stored"
)

// TestReserve: a batch with room for its rows takes them without growing, each column of it.
func TestReserve(t *testing.T) {
	const rows = 1000
	shapes := stored.NewShapes(nil)
	shape, library, account := shapes.Of(&stored.Call{}), shapes.Library(billing.SDK{}),
		shapes.Account("a", "a")
	var b stored.Batch
	add := func(n int) {
		for i := range n {
			at := billing.Arrival{Topic: "t", Offset: int64(i)}
			b.Calls.Add(shape, library, account, &stored.CallRow{CallID: "0123456789", Arrival: at})
			b.Deliveries.Add(&stored.Delivery{Arrival: at, Outcome: stored.DeliveredData})
		}
	}
	add(1) // what is shared takes room of its own
	b.Reset()
	b.Reserve(rows, len("0123456789"))
	if n := testing.AllocsPerRun(1, func() { add(rows / 2) }); n > 0 || b.Calls.Len() != rows {
		t.Errorf("%v allocations", n)
	}
	if have := b.Calls.CallID.Bytes(); have != b.Calls.Len()*len("\n0123456789") {
		t.Errorf("%d ids take %d bytes", b.Calls.Len(), have)
	}
}
