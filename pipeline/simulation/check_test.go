package simulation

import (
	"cmp"
	"fmt"
	"slices"

	"tollstream/pipeline/batch"
	"tollstream/pipeline/billing"
	"tollstream/pipeline/canonical"
	"tollstream/pipeline/kafkalog"
	"tollstream/pipeline/naive"
	"tollstream/pipeline/props"
	"tollstream/pipeline/stored"
)

// checkCommit holds while the world runs: what is committed is stored.
func (d *deployment) checkCommit(next map[kafkalog.TopicPartition]int64) {
	for p, offset := range next { // each on its own
		b := stored.Barrier{Topic: p.Topic, Partition: int32(p.Partition), Low: d.plan.logStart,
			High: offset}
		if missing := d.store.missing([]stored.Barrier{b}); len(missing) > 0 {
			d.fault("offset %d of %s/%d is committed, and this is not stored: %s", offset, p.Topic,
				p.Partition, missing[0].String())
		}
	}
}

// check compares what came out of a world that is drained with what has to. The first difference
// counts.
func (d *deployment) check() string {
	if len(d.faults) > 0 {
		return d.faults[0]
	}
	if len(d.store.broken) > 0 {
		return "a closing that was done again wrote something else: " + d.store.broken[0]
	}
	// What arrives at the last close time is beyond its barrier.
	records := slices.DeleteFunc(d.record(), func(r batch.Record) bool {
		return r.Arrival.Appended >= d.until
	})
	want, err := batch.Run(d.cat, records, d.until, nil)
	if err != nil {
		return "batch: " + err.Error()
	}
	right, err := naive.Run(d.cat, props.NaiveRecords(records), d.until)
	if err != nil {
		return "naive: " + err.Error()
	}
	for _, check := range []func() string{
		func() string { return d.checkBills(want, right) },
		func() string { return d.checkCalls(want, right) },
		func() string { return d.checkBooks(want) },
		func() string { return d.checkLedger(want) },
		func() string { return d.checkStatus(want) },
		func() string { return d.checkTopics() },
		func() string { return d.checkQuarantine(want) },
	} {
		if text := check(); text != "" {
			return text
		}
	}
	return ""
}

// bills are those of closings that are done, in the order of the contract.
func (d *deployment) bills() []*billing.Bill {
	var bills []*billing.Bill
	for _, row := range d.store.bills { // sorted below
		if d.store.isClosed(row.closedAt) {
			bills = append(bills, row.bill)
		}
	}
	slices.SortFunc(bills, func(a, b *billing.Bill) int {
		return cmp.Or(cmp.Compare(a.ClosedAt, b.ClosedAt), cmp.Compare(a.AccountID, b.AccountID))
	})
	return bills
}

// checkBills wants the batch's bills to the byte, and the naive biller's in all that it knows.
func (d *deployment) checkBills(want *batch.Output, right *naive.Result) string {
	bills := d.bills()
	var have, wanted []string
	for _, b := range bills {
		have = append(have, string(canonical.Bill(b, zone)))
	}
	for _, b := range want.Bills {
		wanted = append(wanted, string(canonical.Bill(b, zone)))
	}
	merge := right.Reversals > 0
	if text := props.Difference(props.BillTexts(d.cat, bills, merge),
		props.NaiveBillTexts(d.cat, right)); text != "" {
		return "bills and the naive biller's differ\n" + text
	}
	return differ("bills", have, "batch", wanted)
}

// differ tells the first line in which two lists differ, "" if they do not.
func differ(what string, have []string, of string, want []string) string {
	for i := range max(len(have), len(want)) {
		h, w := "(nothing)", "(nothing)"
		if i < len(have) {
			h = have[i]
		}
		if i < len(want) {
			w = want[i]
		}
		if h != w {
			return fmt.Sprintf("%s differ\nstream: %s\n%s: %s", what, h, of, w)
		}
	}
	return ""
}

// checkCalls wants every call that the naive biller takes to be taken once, by the same copy and
// with the same fate, and no other.
func (d *deployment) checkCalls(want *batch.Output, right *naive.Result) string {
	var have, wanted []string
	for _, row := range d.store.taken { // sorted below
		if d.store.isClosed(row.closedAt) {
			fate := naive.Charged
			if row.outcome == "free" {
				fate = naive.Free
			}
			have = append(have, fmt.Sprint(row.at.Place(), " ", fate))
		}
	}
	for at, fate := range right.Fates { // sorted below
		if fate == naive.Charged || fate == naive.Free {
			wanted = append(wanted, fmt.Sprint(at.Place(), " ", fate))
		}
	}
	slices.Sort(have)
	slices.Sort(wanted)
	return differ("calls taken", have, "naive", wanted)
}

// checkBooks counts every partition anew, from what is stored at the end, against what the producer
// and the batch know of it.
func (d *deployment) checkBooks(want *batch.Output) string {
	closed := d.store.closed()
	for _, st := range closed {
		for i, p := range d.store.settlements[st.ClosedAt].books.Partitions {
			if p.Barrier != st.Barriers[i] || p.Fault() != "" {
				return fmt.Sprintf("books of %s: %s", st.Day, p.Fault())
			}
		}
	}
	for day := range len(closed) - 1 {
		if closed[day+1].Day != closed[day].Day+1 {
			return fmt.Sprintf("no closing between %s and %s", closed[day].Day, closed[day+1].Day)
		}
	}
	if len(closed) == 0 {
		if len(want.Bills) > 0 || d.first <= billing.DayOf(d.until, zone)-1 {
			return "nothing was closed"
		}
		return ""
	}
	first, last := closed[0], closed[len(closed)-1]
	if first.Day != d.first || last.ClosedAt != d.until {
		return fmt.Sprintf("closings from %s to %s, want from %s to %s", first.Day, last.ClosedAt,
			d.first, d.until)
	}
	for i, b := range last.Barriers {
		b.Low = first.Barriers[i].Low
		if text := d.checkPartition(b, want); text != "" {
			return text
		}
	}
	return ""
}

// checkPartition compares the books of a partition, term by term.
func (d *deployment) checkPartition(b stored.Barrier, want *batch.Output) string {
	have := d.store.booksOf(b, nil, d.until)
	at := billing.Arrival{Topic: b.Topic, Partition: b.Partition}
	var log struct{ data, aborted, control, compacted int64 }
	p := d.log.topics[b.Topic][b.Partition]
	for _, e := range p.entries[b.Low-p.start : b.High-p.start] {
		switch e.kind {
		case dataEntry:
			log.data++
		case abortedEntry:
			log.aborted++
		case controlEntry:
			log.control++
		case hole:
			log.compacted++
		}
	}
	if b.Low != p.start || log.data != have.Data || log.aborted != have.Aborted ||
		log.control != have.Control || log.compacted != have.Compacted {
		return fmt.Sprintf("books of %s: %+v, the log from %d has %+v", at.Log(), have, p.start, log)
	}
	if fault := have.Fault(); fault != "" {
		return fmt.Sprintf("books of %s do not balance: %s", at.Log(), fault)
	}
	w := want.Books[at.Log()]
	if w != nil && (have.Charged != w.Charged || have.Free != w.Free) {
		return fmt.Sprintf("books of %s: %+v, batch has %+v", at.Log(), have, *w)
	}
	return ""
}

// checkLedger wants the batch's entries of what acts before the last closing. Money that acts later
// is booked by the closing that learns of it or by the one at which it acts.
func (d *deployment) checkLedger(want *batch.Output) string {
	var have, wanted []string
	for _, e := range d.store.ledger { // sorted below
		if e.At < d.until {
			have = append(have, fmt.Sprint(e))
		}
	}
	for _, e := range want.Ledger {
		if e.At < d.until {
			wanted = append(wanted, fmt.Sprint(e))
		}
	}
	slices.Sort(have)
	slices.Sort(wanted)
	return differ("ledger entries", have, "batch", wanted)
}

// checkStatus wants the changes of status that the batch has up to the last closing.
func (d *deployment) checkStatus(want *batch.Output) string {
	var have, wanted []string
	for _, row := range d.store.status { // sorted below
		have = append(have, statusText(&row.StatusChange))
	}
	for i := range want.Status {
		if want.Status[i].EffectiveAt < d.until {
			wanted = append(wanted, statusText(&want.Status[i]))
		}
	}
	slices.Sort(have)
	slices.Sort(wanted)
	return differ("changes of status", have, "batch", wanted)
}

func statusText(c *billing.StatusChange) string { return string(canonical.Status(c, zone)) }

// checkQuarantine wants the records that the batch has in quarantine, with the same reasons. Before
// closings have seen every record, what ingest put there stands beside it.
func (d *deployment) checkQuarantine(want *batch.Output) string {
	if !d.plan.toTheEnd {
		return ""
	}
	// Of identical copies of a call that nothing takes, closings look at the first only; the others
	// keep what ingest said of them, and so do calls that were taken back. A copy that waited and has
	// no tag leaves as a duplicate if its call was taken meanwhile.
	judged := map[string]bool{}
	for _, q := range d.store.quarantine { // a set
		if q.Refusal.Reason != billing.UnknownAccount {
			judged[q.ID] = true
		}
	}
	stale := map[string]bool{} // places
	for _, q := range want.Quarantined {
		// A call of a closed account is in quarantine only if it was there before, for another reason.
		stale[q.Arrival.Place()] = q.Refusal.Reason == billing.AccountIsClosed
	}
	var have, wanted []string
	for _, q := range d.store.quarantine { // sorted below
		at := q.Arrival.Place()
		stale[at] = stale[at] || q.Resolved == stored.ResolvedDuplicate || d.voided(q.ID) ||
			judged[q.ID] && q.Refusal.Reason == billing.UnknownAccount
		if q.Resolved == "" && q.Arrival.Appended < d.until && !stale[at] {
			have = append(have, fmt.Sprint(at, " ", q.Refusal.Reason))
		}
	}
	for _, q := range want.Quarantined {
		if !stale[q.Arrival.Place()] {
			wanted = append(wanted, fmt.Sprint(q.Arrival.Place(), " ", q.Refusal.Reason))
		}
	}
	slices.Sort(have)
	slices.Sort(wanted)
	return differ("records in quarantine", have, "batch", wanted)
}

// voided tells whether a closing passed over a call because it was taken back.
func (d *deployment) voided(callID string) bool {
	for key := range d.store.voided { // any of them
		if key.callID == callID {
			return true
		}
	}
	return false
}
