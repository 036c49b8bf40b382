package simulation

import (
	"bytes"
	"cmp"
	"slices"
	"time"

	"tollstream/pipeline/batch"
	"tollstream/pipeline/billing"
)

// sending is a record that the producer sends at a time of the brokers' clock.
type sending struct {
	record    batch.Record
	partition int
	at        billing.Instant // in whole milliseconds
	question  uint64          // what is drawn for it
}

// produce schedules the world's records: to partitions by account, some of them twice, some of them
// in transactions, among records of transactions that are aborted.
func (d *deployment) produce(records []batch.Record, start time.Time) {
	var list []sending
	for i := range records {
		r := &records[i]
		s := sending{record: *r, at: r.Arrival.Appended / billing.Millisecond * billing.Millisecond,
			question: uint64(i)}
		partitions := d.log.Partitions(r.Arrival.Topic)
		s.partition = int(d.draw(uint64(accountOf(r.Value)[0])) % uint64(partitions))
		list = append(list, s)
		if n := d.plan.repeats; n > 0 && d.draw(s.question<<8|1)%n == 0 {
			s.question += 1 << 32
			s.at += billing.Instant(1+d.draw(s.question)%93_600) * billing.Second
			if r.Kind == batch.CallRecord {
				s.partition = int(d.draw(s.question<<8|2) % uint64(partitions))
			}
			list = append(list, s)
		}
	}
	slices.SortStableFunc(list, func(a, b sending) int { return cmp.Compare(a.at, b.at) })
	for i := range list {
		s := &list[i]
		at := s.at.Time().Add(-d.skewOf(s.record.Arrival.Topic, s.partition))
		if d.plan.simulated {
			at = start
		}
		d.schedule.At(at, "send", func() { d.send(s) })
	}
}

// accountOf is the account that a record is keyed by.
func accountOf(value []byte) string {
	_, rest, _ := bytes.Cut(value, []byte(`"account_id":"`))
	account, _, _ := bytes.Cut(rest, []byte(`"`))
	return cmp.Or(string(account), "none")
}

// draw is a number that depends on the world's seed and the question only.
func (d *deployment) draw(question uint64) uint64 { return mix(mix(d.plan.seed+1) ^ mix(question)) }

// skewOf is how far the clock of a partition's broker is ahead.
func (d *deployment) skewOf(topic string, partition int) time.Duration {
	if d.plan.skew == 0 || d.plan.simulated {
		return 0
	}
	wide := uint64(2*d.plan.skew/time.Second) + 1
	n := d.draw(uint64(len(topic)*100+partition)) % wide
	return time.Duration(n)*time.Second - d.plan.skew
}

// send is one record's way into the log.
func (d *deployment) send(s *sending) {
	topic, r := s.record.Arrival.Topic, &s.record
	at := s.at.Time()
	key := []byte(accountOf(r.Value))
	if d.plan.holes && d.draw(s.question<<8|3)%10 == 0 {
		d.log.Skip(topic, s.partition, 1+int(d.draw(s.question<<8|4)%3))
	}
	if d.plan.transactions && d.draw(s.question<<8|5)%10 == 0 {
		d.transaction(s, ghostOf(r.Value), false)
	}
	if d.plan.transactions && d.draw(s.question<<8|6)%6 == 0 {
		d.note(r, s.partition, d.transaction(s, r.Value, true))
		return
	}
	d.note(r, s.partition, d.log.Append(topic, s.partition, at, key, r.Value))
}

// ghostOf is another record like this one, that nobody may ever bill.
func ghostOf(value []byte) []byte {
	for _, id := range []string{`"call_id":"`, `"event_id":"`} {
		value = bytes.Replace(value, []byte(id), []byte(id+"ghost-"), 1)
	}
	return value
}

// transaction sends a record whose fate is decided within two hours.
func (d *deployment) transaction(s *sending, value []byte, commit bool) int64 {
	topic := s.record.Arrival.Topic
	offset := d.log.AppendOpen(topic, s.partition, s.at.Time(), []byte(accountOf(value)), value)
	wait := time.Duration(1+d.draw(s.question<<8|7)%120) * time.Minute
	d.schedule.In(wait, "decide", func() {
		marked := s.at.Time().Add(wait)
		if d.plan.simulated {
			marked = s.at.Time()
		}
		d.log.Decide(topic, s.partition, offset, commit, marked)
	})
	return offset
}

// note keeps the producer's own record of what it sent and what the broker said of it.
func (d *deployment) note(r *batch.Record, partition int, offset int64) {
	d.sent = append(d.sent, batch.Record{Kind: r.Kind, Value: r.Value,
		Arrival: d.log.arrivalOf(r.Arrival.Topic, partition, offset)})
}

// record gives what was sent, in the order of arrival.
func (d *deployment) record() []batch.Record {
	list := slices.Clone(d.sent)
	slices.SortStableFunc(list, func(a, b batch.Record) int { return a.Arrival.Compare(b.Arrival) })
	return list
}
