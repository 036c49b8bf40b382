package simulation

import (
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"
)

// traceTail is how many of the last turns a trace can tell.
const traceTail = 60

// Trace is what happened: a hash over all turns and every byte that was appended to a log, and the
// last turns in words.
type Trace struct {
	Turns int
	hash  xxhash.Digest
	last  [traceTail]traced
	buf   []byte
}

type traced struct {
	at   time.Time
	who  string
	what string
	kind fault
	err  error
}

func (t *Trace) add(turn *turn, kind fault, err error) {
	e := traced{time.Now(), "world", turn.what, kind, err}
	if turn.hand != nil {
		e.who = turn.hand.name
	}
	t.last[t.Turns%traceTail] = e
	t.Turns++
	t.buf = binary.BigEndian.AppendUint64(t.buf[:0], uint64(e.at.UnixNano()))
	t.buf = append(append(append(t.buf, e.who...), 0), e.what...)
	t.buf = append(t.buf, byte(kind))
	if err != nil {
		t.buf = append(t.buf, err.Error()...)
	}
	_, _ = t.hash.Write(t.buf) // a hash takes everything
}

// appended notes a record of a log.
func (t *Trace) appended(topic string, key, value []byte) {
	t.buf = append(append(append(append(t.buf[:0], topic...), 0), key...), 0)
	t.buf = append(t.buf, value...)
	_, _ = t.hash.Write(t.buf) // as above
}

// Hash is equal for two runs in which the same happened at the same times.
func (t *Trace) Hash() uint64 { return t.hash.Sum64() }

// Tail tells the last turns, one a line.
func (t *Trace) Tail() string {
	var b strings.Builder
	for i := max(0, t.Turns-traceTail); i < t.Turns; i++ {
		e := &t.last[i%traceTail]
		fmt.Fprintf(&b, "%s %s: %s", e.at.Format("2006-01-02 15:04:05.000"), e.who, e.what)
		if e.kind != noFault {
			fmt.Fprintf(&b, " (%s)", e.kind)
		}
		if e.err != nil {
			fmt.Fprintf(&b, ": %v", e.err)
		}
		b.WriteByte('\n')
	}
	return b.String()
}
