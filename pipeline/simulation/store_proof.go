package simulation

import (
	"context"
	"slices"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/closing"
	"tollstream/pipeline/settle"
	"tollstream/pipeline/stored"
)

// fact is a delivered record with what stands of the rows that its delivery speaks of.
type fact struct {
	stored.Delivery
	isCall, isEvent bool
	copied          bool // its copy stands, or one with the same key that arrived no later
	event           bool
	quarantined     bool // it has a row in quarantine
	refused, held   bool // for good; until its account is known
}

// factOf looks up a delivery; false where there is none.
func (t *tables) factOf(log logKey, offset int64) (fact, bool) {
	d, there := t.deliveries[log][offset]
	f := fact{Delivery: d}
	if !there {
		return f, false
	}
	at := place{log, offset}
	data := d.Outcome == stored.DeliveredData
	f.isCall, f.isEvent = data && d.IDHash != 0, data && d.IDHash == 0
	group := t.delivered[deliveredKey{log.topic, d.IDHash, d.BillingHash}]
	f.copied = f.isCall && group != nil && group.rows[0].Arrival.Compare(d.Arrival) <= 0
	f.event = f.isEvent && t.events[at] != nil
	if q := t.quarantine[at]; q != nil {
		f.quarantined = true
		unknown := q.Refusal.Reason == billing.UnknownAccount
		f.refused = !unknown && q.Refusal.Reason != "" &&
			(q.Resolved == "" || q.Resolved == stored.ResolvedRequeued)
		f.held = unknown && q.Resolved == ""
	}
	return f, true
}

// Missing implements settle.Store.
func (s *Store) Missing(
	ctx context.Context, ranges []stored.Barrier,
) (missing []settle.Missing, err error) {
	err = s.hand.read(ctx, "missing", func() { missing = s.missing(ranges) })
	return missing, err
}

// TakenShort implements settle.Store.
func (s *Store) TakenShort(
	ctx context.Context, from, to billing.Instant,
) (short []settle.Taken, err error) {
	err = s.hand.read(ctx, "taken short", func() {
		there := map[billing.Instant]int64{}
		for _, c := range s.taken { // counted
			there[c.closedAt]++
		}
		for _, st := range s.closed() {
			took, n := s.settlements[st.ClosedAt].books.Totals.Calls, there[st.ClosedAt]
			if from <= st.ClosedAt && st.ClosedAt <= to && n < took {
				short = append(short, settle.Taken{Day: st.Day, Took: took, Stored: n})
			}
		}
	})
	return short, err
}

// missing says what is not stored; while offsets themselves are missing, only which.
func (t *tables) missing(ranges []stored.Barrier) []settle.Missing {
	var missing []settle.Missing
	for _, r := range ranges {
		missing = append(missing, t.holes(r)...)
	}
	if len(missing) == 0 {
		missing = t.unproven(ranges)
	}
	return missing[:min(len(missing), settle.MissingMax)]
}

// holes are the offsets of which nothing is known.
func (t *tables) holes(r stored.Barrier) []settle.Missing {
	var holes []settle.Missing
	rows := t.deliveries[logKey{r.Topic, r.Partition}]
	for offset := r.Low; offset < r.High; offset++ {
		if _, there := rows[offset]; there {
			continue
		}
		if n := len(holes); n > 0 && holes[n-1].To == offset {
			holes[n-1].To++
			continue
		}
		holes = append(holes, settle.Missing{Topic: r.Topic, Partition: r.Partition, From: offset,
			To: offset + 1, Kind: settle.KindUnknown, Table: "deliveries"})
	}
	return holes
}

// unproven are delivered records of which a row has gone, by place.
func (t *tables) unproven(ranges []stored.Barrier) []settle.Missing {
	var out []settle.Missing
	for _, r := range ranges {
		for offset := r.Low; offset < r.High; offset++ {
			f, _ := t.factOf(logKey{r.Topic, r.Partition}, offset)
			m := settle.Missing{Topic: r.Topic, Partition: r.Partition, From: offset, To: offset + 1}
			switch {
			case f.isCall && !f.copied:
				m.Kind, m.Table = t.kindOf(&f.Delivery), "call_copies"
			case f.isEvent && !f.event:
				m.Kind, m.Table = settle.KindEvent, "account_events"
			case (f.Outcome == stored.DeliveredQuarantined || f.Reason != "") && !f.quarantined:
				m.Kind, m.Table = settle.KindQuarantined, "quarantined_records"
			default:
				continue
			}
			out = append(out, m)
		}
	}
	slices.SortFunc(out, func(a, b settle.Missing) int {
		at := func(m *settle.Missing) billing.Arrival {
			return billing.Arrival{Topic: m.Topic, Partition: m.Partition, Offset: m.From}
		}
		return at(&a).Compare(at(&b))
	})
	return out
}

// Kinds implements settle.Store.
func (s *Store) Kinds(
	ctx context.Context, list []stored.Delivery,
) (kinds []settle.Kind, err error) {
	err = s.hand.read(ctx, "kinds", func() {
		for i := range list {
			kinds = append(kinds, s.kindOf(&list[i]))
		}
	})
	return kinds, err
}

// windowMost is how much older than a copy another one can be that the same closing looks at: the
// first closing after an arrival looks back two whole days and a part of one.
const windowMost = 3 * 24 * billing.Hour

func (t *tables) kindOf(d *stored.Delivery) settle.Kind {
	switch {
	case d.Outcome == stored.DeliveredQuarantined:
		return settle.KindQuarantined
	case d.Outcome != stored.DeliveredData:
		return settle.KindMarker
	case d.IDHash == 0:
		return settle.KindEvent
	}
	for _, row := range t.taken {
		if stored.IDHash(row.callID) == d.IDHash && placeOf(row.at) != placeOf(d.Arrival) {
			return settle.KindDuplicate
		}
	}
	oldest := d.Arrival.Appended - windowMost
	for _, rows := range t.deliveries {
		for _, other := range rows {
			if other.IDHash == d.IDHash && other.Arrival.Appended >= oldest &&
				other.Arrival.Compare(d.Arrival) < 0 {
				return settle.KindDuplicate
			}
		}
	}
	return settle.KindCall
}

// FirstMissing implements ingest.Store.
func (s *Store) FirstMissing(
	ctx context.Context, topic string, partition int32, from, below int64,
) (missing int64, err error) {
	err = s.hand.read(ctx, "first missing of "+topic, func() {
		if done := s.closed(); len(done) > 0 {
			for _, b := range done[len(done)-1].Barriers {
				if b.Topic == topic && b.Partition == partition {
					from = max(from, b.High)
				}
			}
		}
		missing = below
		r := stored.Barrier{Topic: topic, Partition: partition, Low: from, High: below}
		for _, m := range s.missing([]stored.Barrier{r}) {
			missing = min(missing, m.From)
		}
	})
	return missing, err
}

// Run implements settle.Store.
func (s *Store) Run(
	ctx context.Context, topic string, partition int32, from int64, before billing.Instant,
) (stored.Barrier, error) {
	r := stored.Barrier{Topic: topic, Partition: partition, Low: from, High: from}
	return r, s.hand.read(ctx, "run of "+topic, func() {
		for offset, d := range s.deliveries[logKey{topic, partition}] { // the least and the greatest
			if offset < from || d.Arrival.Appended >= before {
				continue
			}
			if r.Low == r.High {
				r.Low, r.High = offset, offset+1
			}
			r.Low, r.High = min(r.Low, offset), max(r.High, offset+1)
		}
	})
}

// booksOf counts what became of a partition's offsets below a barrier, each term by a condition of
// its own (B21).
func (t *tables) booksOf(
	b stored.Barrier, gaps []stored.Gap, at billing.Instant,
) settle.PartitionBooks {
	p := settle.PartitionBooks{Barrier: b, Lost: stored.LostIn(b, gaps)}
	takenBy := map[uint64]bool{} // id hashes
	for id, row := range t.taken {
		if row.closedAt <= at {
			takenBy[stored.IDHash(id)] = true
		}
	}
	for _, r := range stored.Without([]stored.Barrier{b}, gaps) {
		for offset := r.Low; offset < r.High; offset++ {
			log := logKey{b.Topic, b.Partition}
			if f, there := t.factOf(log, offset); there {
				outcome := closing.Outcome("")
				if row := t.takenAt[place{log, offset}]; row != nil && row.closedAt <= at {
					outcome = row.outcome
				}
				count(&p, &f, outcome, takenBy[f.IDHash])
			}
		}
	}
	return p
}

// count adds one delivery. Outcome is what became of the call that was taken at its place; taken
// tells whether its call was taken wherever.
func count(p *settle.PartitionBooks, f *fact, outcome closing.Outcome, taken bool) {
	is := func(term *int64, holds bool) int {
		if !holds {
			return 0
		}
		*term++
		return 1
	}
	left := outcome == ""
	data := is(&p.Data, f.isCall || f.isEvent || f.Outcome == stored.DeliveredQuarantined)
	is(&p.Aborted, f.Outcome == stored.DeliveredAborted)
	is(&p.Control, f.Outcome == stored.DeliveredControl)
	is(&p.Compacted, f.Outcome == stored.DeliveredCompacted)
	terms := is(&p.Charged, f.copied && !left && outcome != closing.Free) +
		is(&p.Free, f.copied && outcome == closing.Free) +
		is(&p.Duplicate, f.copied && left && taken && !f.refused && !f.held) +
		is(&p.Quarantined, f.quarantined && (f.Outcome == stored.DeliveredQuarantined ||
			(f.copied || f.event) && left && f.refused)) +
		is(&p.Waiting, f.copied && left && !f.refused && (f.held || !taken) || f.event && f.held) +
		is(&p.Events, f.event && !f.refused && !f.held)
	if data != terms && len(p.Odd) < 10 {
		p.Odd = append(p.Odd, f.Arrival.Offset)
	}
}
