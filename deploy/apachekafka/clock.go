package apachekafka

import (
	"encoding/binary"
	"fmt"
	"os"
	"time"
)

// Now is the broker's time of day.
func (b *Broker) Now() time.Time { return time.Now().Add(time.Duration(b.moved.Load())) }

// SetClock moves the broker's time of day on; it goes on from there at the pace of the machine's.
// What a broker appends from now on has the new time. Time may not go back: the controller writes
// its records when a moment has come, and would write none until the clock was there again.
func (b *Broker) SetClock(to time.Time) error {
	if now := b.Now(); to.Before(now) {
		return fmt.Errorf("the broker's clock is at %s and cannot go back to %s", now, to)
	}
	return b.moveClock(to)
}

// moveClock tells the class in clock/ how far the time of day is moved.
func (b *Broker) moveClock(to time.Time) error {
	by := time.Until(to).Truncate(time.Millisecond)
	f, err := os.OpenFile(b.path(clockFile), os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // a write of eight bytes is whole or an error
	value := binary.BigEndian.AppendUint64(nil, uint64(by.Milliseconds()))
	if _, err := f.WriteAt(value, 0); err != nil {
		return err
	}
	b.moved.Store(int64(by))
	return nil
}

const clockFile = "clock"
