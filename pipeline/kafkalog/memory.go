package kafkalog

import (
	"sync"
	"sync/atomic"
)

// buffer is the bytes of one leader's answer, which several partitions' records point into.
type buffer struct {
	b    []byte
	refs atomic.Int32 // partitions that have not been released
}

// memory is what one Fetched may give back. It is not pooled itself, so that a second Release of
// the same Fetched, or of a copy, finds the flag and does nothing.
type memory struct {
	released atomic.Bool
	answer   *buffer
	blocks   [][]byte // decompressed batches
}

const (
	// What is smaller is not pooled: making it is cheap, and it would be handed to those who need
	// much in place of something that fits.
	bufferPoolMin = 64 << 10
	recordPoolMin = 256
)

var (
	bufferPool sync.Pool // *buffer
	blockPool  sync.Pool // *[]byte
	recordPool sync.Pool // *[]Record
)

// Release gives the memory of a fetch to later ones. Calling it is optional: without it the
// garbage collector does the work, at about twice the CPU per record. After it nothing of the
// Fetched may be used, and no Key, Value or header value that came with it; what is to live on
// must have been copied. Under the race detector the bytes are overwritten, so that tests
// notice a value that was kept.
func (f *Fetched) Release() {
	m := f.memory
	if m == nil || !m.released.CompareAndSwap(false, true) {
		return
	}
	if cap(f.Records) >= recordPoolMin {
		records := f.Records[:0]
		recordPool.Put(&records)
	}
	for _, b := range m.blocks {
		poison(b)
		putBlock(b)
	}
	if m.answer != nil && m.answer.refs.Add(-1) == 0 {
		poison(m.answer.b)
		if cap(m.answer.b) >= bufferPoolMin {
			bufferPool.Put(m.answer)
		}
	}
	f.Records, f.memory = nil, nil
}

// newBuffer gives a buffer of n bytes. It goes back to the pool once every partition of its
// answer was released; when one is not, the garbage collector has it.
func newBuffer(n int) *buffer {
	if n >= bufferPoolMin {
		if b, _ := bufferPool.Get().(*buffer); b != nil && cap(b.b) >= n {
			b.b = b.b[:n]
			return b
		}
	}
	return &buffer{b: make([]byte, n)}
}

// newBlock gives an empty block, with the capacity of some earlier one or none.
func newBlock() []byte {
	if b, _ := blockPool.Get().(*[]byte); b != nil {
		return (*b)[:0]
	}
	return nil
}

func putBlock(b []byte) {
	if cap(b) > 0 {
		blockPool.Put(&b)
	}
}

// newRecords gives an empty slice with room for n.
func newRecords(n int) []Record {
	if n >= recordPoolMin {
		if r, _ := recordPool.Get().(*[]Record); r != nil && cap(*r) >= n {
			return (*r)[:0]
		}
	}
	return make([]Record, 0, n)
}
