package simulation

import (
	"errors"
	"fmt"
	"time"
)

// fault is what can go wrong with a turn.
type fault uint8

const (
	noFault      fault = iota
	refused            // an error, and nothing happened
	torn               // an error, and some of it happened
	lost               // an error, and all of it happened
	slow               // it takes long
	creeping           // some of it happens now, all of it much later
	killedBefore       // the process dies, and nothing happened
	killedWithin       // the process dies, and some of it happened
	killedAfter        // the process dies, and all of it happened
	asleep             // the process stands still for a while
	abandoned          // nobody waits for it any more, and it happens, in part or as a whole
)

var faultNames = [...]string{"", "refused", "torn", "lost", "slow", "creeping", "killed before",
	"killed within", "killed after", "asleep", "abandoned"}

func (f fault) String() string { return faultNames[f] }

// The faults by how often they come up among those that fall on a read or a write.
var (
	readFaults = []fault{refused, refused, refused, refused, refused, slow, slow, killedBefore,
		killedBefore, asleep}
	writeFaults = []fault{refused, torn, torn, lost, lost, slow, creeping, creeping, killedBefore,
		killedWithin, killedWithin, killedAfter, killedAfter, asleep}
	// wholeFaults leave no write in part, nor one of which the writer does not know.
	wholeFaults = []fault{refused, refused, slow, killedBefore, asleep}
)

// Faults say how often which faults come up. The zero value has none.
type Faults struct {
	PerMillion uint64   // how many of a million turns have one
	Storms     []Storm  // times of many faults
	Freezes    string   // a process freezes at one in three turns of this name
	Whole      bool     // writes happen as a whole, and the writer hears of it, or not at all
	Off        bool     // from now on there are none
	Skip       []uint64 // turns, by number, that are spared: for finding out which faults matter
	// Struck lists what came up.
	Struck []Struck
}

// Storm is a time in which one turn of some has a fault.
type Storm struct {
	From, To time.Time
	OneIn    uint64
}

// Struck is a fault that came up.
type Struck struct {
	Turn uint64
	At   time.Time
	Who  string
	What string
	Kind fault
}

func (s Struck) String() string {
	return fmt.Sprintf("%s #%d %s: %s %s", s.At.Format(time.RFC3339), s.Turn, s.Who, s.What, s.Kind)
}

// errRefused and errLost are what a loop hears; it cannot tell what happened.
var (
	errRefused = errors.New("simulated: connection refused")
	errLost    = errors.New("simulated: the answer was lost")
)

// faultOf draws the fault of a turn.
func (s *Schedule) faultOf(t *turn) fault {
	f := &s.Faults
	if f.Off || t.struck || !s.strikes(t) {
		return noFault
	}
	for _, turn := range f.Skip {
		if turn == t.serial {
			return noFault
		}
	}
	kinds := readFaults
	switch {
	case f.Whole:
		kinds = wholeFaults
	case t.write:
		kinds = writeFaults
	}
	kind := kinds[s.draw(t.serial, drawKind, uint64(len(kinds)))]
	if t.what == f.Freezes {
		kind = asleep
	}
	f.Struck = append(f.Struck, Struck{t.serial, time.Now(), t.hand.name, t.what, kind})
	return kind
}

func (s *Schedule) strikes(t *turn) bool {
	if t.what == s.Faults.Freezes {
		return s.draw(t.serial, drawFault, 3) == 0
	}
	for _, storm := range s.Faults.Storms {
		if now := time.Now(); now.After(storm.From) && now.Before(storm.To) {
			return s.draw(t.serial, drawFault, storm.OneIn) == 0
		}
	}
	return s.draw(t.serial, drawFault, 1_000_000) < s.Faults.PerMillion
}

// howLong draws how long a slow turn takes or a process sleeps: seconds, minutes or hours.
func (s *Schedule) howLong(t *turn) time.Duration {
	units := [...]time.Duration{time.Second, time.Minute, time.Hour}
	unit := units[s.draw(t.serial, drawHowLong, uint64(len(units)))]
	return time.Duration(1+s.draw(t.serial, drawSize, 50)) * unit
}

// takeFaulty lets a turn happen with the fault that is drawn for it.
func (s *Schedule) takeFaulty(t *turn) {
	kind := s.faultOf(t)
	process := t.hand.process
	var err error
	switch kind {
	case noFault:
		err = t.do()
	case refused:
		err = errRefused
	case torn:
		s.inPart(t)
		err = errLost
	case lost:
		_ = t.do() // whatever it was, nobody hears of it
		err = errLost
	case creeping:
		s.inPart(t)
		fallthrough
	case slow:
		t.struck = true
		s.push(t, time.Now().Add(s.howLong(t)))
	case killedWithin:
		s.inPart(t)
	case killedAfter:
		_ = t.do() // as above
	case asleep:
		t.struck = true
		process.Sleep(s.howLong(t))
		s.push(t, process.asleepUntil)
	}
	s.Trace.add(t, kind, err)
	switch kind {
	case killedBefore, killedWithin, killedAfter:
		process.Kill()
	case slow, creeping, asleep:
	default:
		t.answer <- err
	}
}

// takeLeft lets a turn happen, or not, that nobody waits for any more.
func (s *Schedule) takeLeft(t *turn) {
	if !t.write || s.Faults.Whole {
		return
	}
	switch s.draw(t.serial, drawLeft, 4) {
	case 0:
		return
	case 1:
		s.inPart(t)
	default:
		_ = t.do() // nobody hears of it
	}
	s.Trace.add(t, abandoned, nil)
}

// inPart lets a part of a write happen.
func (s *Schedule) inPart(t *turn) {
	if !t.write {
		return
	}
	seed := mix(s.seed ^ mix(t.serial<<8|drawTear))
	s.tear = tear{on: true, whole: seed % 7, seed: seed}
	_ = t.do() // a part has no answer
	s.tear = tear{}
}

// tear is where a write breaks off: after some whole statements and some rows of the next.
type tear struct {
	on    bool
	whole uint64
	seed  uint64
}

// each lets the rows of one statement be written, or those of them that the tear lets through: a
// statement over several partitions of a table is not atomic.
func (t *tear) each(n int, row func(i int)) {
	if t.on && n > 0 && t.whole > 0 {
		t.whole--
	} else if t.on && n > 0 {
		if t.seed == 0 {
			return
		}
		for i := range n {
			if mix(t.seed+uint64(i))%2 == 0 {
				row(i)
			}
		}
		t.seed = 0
		return
	}
	for i := range n {
		row(i)
	}
}

// prefix is how many of n records, which are written in order, the tear lets through.
func (t *tear) prefix(n int) int {
	if !t.on {
		return n
	}
	return int(mix(t.seed) % uint64(n+1))
}
