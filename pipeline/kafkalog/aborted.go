package kafkalog

import (
	"encoding/binary"
	"slices"
)

// abortedTxn is one entry of a fetch's list: this producer's records from first on are void, up
// to the ABORT marker that follows.
type abortedTxn struct{ producerID, first int64 }

// abortedFilter tells aborted records from committed ones as Kafka's Java consumer does: entries
// of the list become active when the walk reaches them, and an ABORT marker ends its producer's.
// A COMMIT marker changes nothing, since a producer's next transaction is a later entry or none.
type abortedFilter struct {
	pending []abortedTxn
	active  map[int64]struct{}
}

func newAbortedFilter(list []abortedTxn) abortedFilter {
	if len(list) == 0 {
		return abortedFilter{}
	}
	pending := slices.Clone(list)
	slices.SortFunc(pending, func(a, b abortedTxn) int {
		switch {
		case a.first < b.first:
			return -1
		case a.first > b.first:
			return 1
		}
		return 0
	})
	return abortedFilter{pending: pending, active: map[int64]struct{}{}}
}

// advance activates the entries that begin at or before the batch's last offset.
func (f *abortedFilter) advance(h *batchHeader) {
	for len(f.pending) > 0 && f.pending[0].first <= h.lastOffset() {
		f.active[f.pending[0].producerID] = struct{}{}
		f.pending = f.pending[1:]
	}
}

// outcome is one word for the whole batch: a batch has one producer and one transaction.
func (f *abortedFilter) outcome(h *batchHeader) Outcome {
	if h.control() {
		return Control
	}
	if h.txn() {
		if _, ok := f.active[h.producerID]; ok {
			return Aborted
		}
	}
	return Data
}

// marker takes note of a control record's key: version, then type.
func (f *abortedFilter) marker(h *batchHeader, key []byte) {
	if len(key) >= 4 && binary.BigEndian.Uint16(key[2:]) == controlAbort {
		delete(f.active, h.producerID)
	}
}
