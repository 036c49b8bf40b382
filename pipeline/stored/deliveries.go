package stored

import (
	"slices"

	"tollstream/pipeline/billing"
)

// Deliveries say what stood at offsets, by column. There is one for every offset (B21).
type Deliveries struct {
	Topics      []string // those that occur
	Topic       []uint16 // of each delivery, by its place in Topics
	Partition   []int32
	Offset      []int64
	Appended    []billing.Instant
	Outcome     []uint8 // by its place in Outcomes
	Reasons     []billing.Reason
	Reason      []uint16 // by its place in Reasons
	IDHash      []uint64
	BillingHash []uint64
}

// Outcomes are the outcomes of a delivery.
var Outcomes = [...]string{DeliveredData, DeliveredQuarantined, DeliveredAborted, DeliveredControl,
	DeliveredCompacted}

// Len is the number of deliveries.
func (d *Deliveries) Len() int { return len(d.Offset) }

// Add adds a delivery.
func (d *Deliveries) Add(x *Delivery) {
	d.Topic = append(d.Topic, place(&d.Topics, x.Arrival.Topic))
	d.Partition = append(d.Partition, x.Arrival.Partition)
	d.Offset = append(d.Offset, x.Arrival.Offset)
	d.Appended = append(d.Appended, x.Arrival.Appended)
	d.Outcome = append(d.Outcome, uint8(slices.Index(Outcomes[:], x.Outcome)))
	d.Reason = append(d.Reason, place(&d.Reasons, x.Reason))
	d.IDHash = append(d.IDHash, x.IDHash)
	d.BillingHash = append(d.BillingHash, x.BillingHash)
}

// place finds a value in a short list, or adds it there. The last one is looked at first, since
// neighbours are most often alike.
func place[T comparable](list *[]T, x T) uint16 {
	n := len(*list)
	if n > 0 && (*list)[n-1] == x {
		return uint16(n - 1)
	}
	i := slices.Index(*list, x)
	if i < 0 {
		i = n
		*list = append(*list, x)
	}
	return uint16(i)
}

// At gives the delivery in a row.
func (d *Deliveries) At(i int) Delivery {
	return Delivery{
		Arrival: billing.Arrival{Appended: d.Appended[i], Topic: d.Topics[d.Topic[i]],
			Partition: d.Partition[i], Offset: d.Offset[i]},
		Outcome: Outcomes[d.Outcome[i]], IDHash: d.IDHash[i], BillingHash: d.BillingHash[i],
		Reason: d.Reasons[d.Reason[i]],
	}
}

// Reset takes all deliveries away, and keeps the memory for others.
func (d *Deliveries) Reset() {
	d.Topics, d.Topic, d.Partition = d.Topics[:0], d.Topic[:0], d.Partition[:0]
	d.Offset, d.Appended, d.Outcome = d.Offset[:0], d.Appended[:0], d.Outcome[:0]
	d.Reasons, d.Reason, d.IDHash = d.Reasons[:0], d.Reason[:0], d.IDHash[:0]
	d.BillingHash = d.BillingHash[:0]
}
