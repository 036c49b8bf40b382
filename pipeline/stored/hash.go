package stored

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"slices"

	"github.com/cespare/xxhash/v2"

	"tollstream/pipeline/billing"
)

// IDHash is the hash by which tables of ids are ordered: xxHash64, as ClickHouse computes it. It
// finds rows quickly and proves nothing: two ids may share one, so the id itself is compared too.
func IDHash(id string) uint64 { return xxhash.Sum64String(id) }

// ValueHash is the SHA-256 of a record's bytes in hexadecimal digits. Whoever may write to an input
// topic chooses the bytes, so a hash that can be made to collide would let one record pass for
// another.
func ValueHash(value []byte) string {
	sum := sha256.Sum256(value)
	return hex.EncodeToString(sum[:])
}

// BillingHasher hashes what billing.CallRecord.SameBilling compares, so that copies which differ
// there are told apart by IDHash and this hash. Dimensions are hashed by name and only where
// present: a catalogue that lists them in another order, or adds one, does not move earlier
// records. It is not safe for concurrent use.
type BillingHasher struct {
	names []string
	order []int // indices of names in the order of the names
	buf   []byte
	rest  []byte
}

// NewBillingHasher takes the names of the dimensions, in the order in which records have them.
func NewBillingHasher(dims []string) *BillingHasher {
	h := &BillingHasher{names: dims, order: make([]int, len(dims))}
	for i := range h.order {
		h.order[i] = i
	}
	slices.SortFunc(h.order, func(a, b int) int { return cmp.Compare(dims[a], dims[b]) })
	return h
}

// Sum hashes a record.
func (h *BillingHasher) Sum(c *billing.CallRecord) uint64 {
	h.rest = h.Rest(h.rest[:0], c)
	return h.SumOf(c.AccountID, c.OccurredAt, h.rest)
}

// SumOf is the Sum of a record with that account, time and Rest.
func (h *BillingHasher) SumOf(account string, at billing.Instant, rest []byte) uint64 {
	h.buf = AppendText(h.buf[:0], account)
	h.buf = binary.AppendVarint(h.buf, int64(at))
	h.buf = append(h.buf, rest...)
	return xxhash.Sum64(h.buf)
}

// Rest appends what is hashed of a record beside account and time. Few different ones occur.
func (h *BillingHasher) Rest(to []byte, c *billing.CallRecord) []byte {
	to = AppendText(to, c.ResultCode)
	to = AppendText(to, c.NeedCharge)
	for _, i := range h.order {
		if i < len(c.Dims) && c.Dims[i] != "" {
			to = AppendText(to, h.names[i])
			to = AppendText(to, c.Dims[i])
		}
	}
	return to
}

// AppendText appends a length and the bytes, so that no two lists of texts give the same bytes.
func AppendText(to []byte, s string) []byte {
	to = binary.AppendUvarint(to, uint64(len(s)))
	return append(to, s...)
}
