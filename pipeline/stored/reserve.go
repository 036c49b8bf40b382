package stored

import "tollstream/pipeline/billing"

// Reserve makes room in an empty batch for so many calls with ids of so many bytes each, and for as
// many deliveries. Columns that grow step by step are copied at each, and leave several times their
// size behind. Memory that is reserved and not used is none that is resident.
func (b *Batch) Reserve(rows, idBytes int) {
	c, d := &b.Calls, &b.Deliveries
	for _, numbers := range []*[]uint32{&c.Shape, &c.Library, &c.Account, &c.CallID.ends} {
		reserve(numbers, rows)
	}
	for _, instants := range []*[]billing.Instant{&c.OccurredAt, &c.Appended, &d.Appended} {
		reserve(instants, rows)
	}
	for _, hashes := range []*[]uint64{&c.BillingHash, &d.BillingHash, &d.IDHash} {
		reserve(hashes, rows)
	}
	reserve(&c.CallID.bytes, rows*(1+idBytes))
	reserve(&c.Partition, rows)
	reserve(&c.Offset, rows)
	reserve(&d.Topic, rows)
	reserve(&d.Partition, rows)
	reserve(&d.Offset, rows)
	reserve(&d.Outcome, rows)
	reserve(&d.Reason, rows)
}

func reserve[T any](column *[]T, n int) {
	if cap(*column) < n {
		*column = make([]T, 0, n)
	}
}

// Bytes is how many bytes the texts take together.
func (t *Texts) Bytes() int { return len(t.bytes) }
