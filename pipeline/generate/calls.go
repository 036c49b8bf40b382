package generate

import (
	"fmt"
	"slices"
	"strconv"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/catalog"
)

// makeCalls makes the calls of one slot, and what goes wrong around them.
func (s *stream) makeCalls(at billing.Instant, day billing.Day, n int) {
	number := uint64(at / slot)
	d := newDice(s.opts.Seed, slotDice|number)
	broken := newDice(s.opts.Seed, brokenDice|number)
	for range n {
		a := s.caller(d, s.callers(at), at+slot)
		s.call(d, a, d.between(at, at+slot), day)
		s.trouble(broken, a, at, day)
	}
}

// callID is a unique id in the form of a request id: a bijection of the call's number.
func (s *stream) callID() string {
	s.calls++
	hi, lo := mix(s.calls^s.opts.Seed), mix(s.calls+s.opts.Seed)
	return fmt.Sprintf("%08x-%04x-%04x-%04x-%012x", hi>>32, hi>>16&0xffff, hi&0xffff, lo>>48,
		lo&0xffffffffffff)
}

// mix is the finaliser of SplitMix64, a bijection.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// call makes one call that a closing will take, and its copies.
func (s *stream) call(d dice, a *account, occurred billing.Instant, day billing.Day) {
	epoch := s.shapes.epoch(day)
	which := s.shapeOn(d, a, epoch)
	ruling := &s.shapes.rulings[a.cohort.Name][epoch][which]
	f := callFields{id: s.callID(), account: s.speaker(d, a, occurred),
		dims: s.shapes.all[which].dims}
	if d.chance(0.9) {
		occurred = wholeMillis(occurred)
	}
	f.occurredAt = s.time(occurred)
	charged := s.code(d, &f, ruling.table, day)
	s.extras(d, &f, charged)
	s.count(a, charged)
	arrived := s.arrival(d, occurred)
	if a.wrong && d.chance(0.01) {
		s.voids[a] = f.id
	}
	s.push(arrived, s.callRecord(f.account, f.encode(s.opts.Catalog)))
	for d.chance(s.opts.Rates.Duplicates) {
		arrived = s.copy(d, a, f, occurred, day, ruling.table, arrived)
	}
}

func (s *stream) count(a *account, charged bool) {
	s.ledger.Calls++
	s.ledger.ByCohort[a.cohort.Name]++
	if charged {
		s.ledger.Charged++
	} else {
		s.ledger.Free++
	}
}

// speaker is who makes the call: the main account or one of its sub-accounts.
func (s *stream) speaker(d dice, a *account, at billing.Instant) string {
	if len(a.subs) > 0 && d.chance(0.4) {
		if sub := pick(d, a.subs); sub.from <= at {
			return sub.id
		}
	}
	return a.id
}

func (s *stream) time(at billing.Instant) string { return at.In(s.opts.Catalog.Settings.Zone) }

// extras are the optional fields that never move a bill.
func (s *stream) extras(d dice, f *callFields, charged bool) {
	if d.chance(0.3) {
		f.need = strconv.FormatBool(charged != d.chance(0.01))
	}
	if list := s.opts.Catalog.SDKMinimums; len(list) > 0 && d.chance(0.1) {
		f.sdk = &list[d.IntN(len(list))]
		f.sdkVersion = "v" + f.sdk.Version
		if d.chance(0.2) {
			f.sdkVersion = "v1.9." + strconv.Itoa(d.IntN(10))
		}
	}
}

// arrival is when a record is appended: at once, a little before its own time where a producer's
// clock is ahead, or minutes to days late.
func (s *stream) arrival(d dice, occurred billing.Instant) billing.Instant {
	switch {
	case d.chance(s.opts.Rates.Late):
		s.ledger.Late++
		return occurred + lateness(d)
	case d.chance(0.002):
		begin := occurred / slot * slot // never before the slot, whose past is delivered already
		return max(begin, occurred-d.between(0, 2*billing.Second))
	}
	return occurred + d.between(40*billing.Millisecond, 1500*billing.Millisecond)
}

func lateness(d dice) billing.Instant {
	switch n := d.IntN(10); {
	case n < 5:
		return d.between(billing.Minute, billing.Hour)
	case n < 8:
		return d.between(billing.Hour, 24*billing.Hour)
	}
	return d.between(24*billing.Hour, 5*24*billing.Hour)
}

// copy delivers a call again, later than before: mostly the same bytes after a producer's retry,
// sometimes days later, sometimes with another payload.
func (s *stream) copy(d dice, a *account, f callFields, occurred billing.Instant, day billing.Day,
	table *catalog.CodeTable, before billing.Instant,
) billing.Instant {
	s.ledger.Duplicates++
	delay := d.between(billing.Second, 5*billing.Minute)
	switch n := d.IntN(10); {
	case n == 0:
		delay = d.between(5*billing.Minute, 6*billing.Hour)
	case n <= 2:
		delay = d.between(24*billing.Hour, 5*24*billing.Hour)
	}
	if d.chance(s.opts.Rates.Conflicts) {
		s.ledger.Conflicts++
		s.alter(d, a, &f, occurred, day, table)
	}
	arrived := before + delay
	again := s.callRecord(f.account, f.encode(s.opts.Catalog))
	again.Copy = true
	s.push(arrived, again)
	return arrived
}

// alter changes one billing field of a copy, so that it stays well-formed and keeps its tag: the
// time within the day, the code, or the account that speaks.
func (s *stream) alter(d dice, a *account, f *callFields, occurred billing.Instant,
	day billing.Day, table *catalog.CodeTable,
) {
	var others []string
	for _, sub := range a.subs {
		if sub.from <= occurred && sub.id != f.account {
			others = append(others, sub.id)
		}
	}
	switch d.IntN(4) {
	case 0:
		if len(others) > 0 {
			f.account = pick(d, others)
			return
		}
	case 1:
		mix := s.mixOf(table, day)
		if all := slices.Concat(mix.charged, mix.free); len(all) > 1 {
			for old := f.code; f.code == old; {
				f.code = pick(d, all)
			}
			return
		}
	}
	start := day.Start(s.opts.Catalog.Settings.Zone)
	at := wholeMillis(d.between(start, occurred))
	if at == occurred {
		at += billing.Millisecond
	}
	f.occurredAt = s.time(at)
}

// endDay lets some accounts take back a call of the day before its closing.
func (s *stream) endDay(day billing.Day) {
	end := (day + 1).Start(s.opts.Catalog.Settings.Zone)
	for _, a := range s.accounts { // in their order, not the map's
		id := s.voids[a]
		if id == "" {
			continue
		}
		delete(s.voids, a)
		o := object{}
		o.text("event_id", "void-"+id)
		o.text("type", string(billing.UsageVoided))
		o.text("account_id", a.id)
		at := end + billing.Hour
		o.text("effective_at", s.time(at))
		o.raw("call_ids", `["`+id+`"]`)
		o.text("reason", "test call of the customer's own staff")
		s.ledger.Events[billing.UsageVoided]++
		s.ledger.Voided++
		s.push(at, s.eventRecord(a.id, o.bytes()))
	}
}

// codeMix is what the calls of a code table can answer on a day.
type codeMix struct {
	success       string
	charged, free []string
	unknown       string
}

// mixOf lists the codes of a table on a day; it is kept while the day lasts.
func (s *stream) mixOf(t *catalog.CodeTable, day billing.Day) codeMix {
	if day != s.codeDay {
		clear(s.codes)
		s.codeDay = day
	}
	if m, ok := s.codes[t]; ok {
		return m
	}
	m := codeMix{charged: t.ChargedOn(day), free: freeCodes(t, day)}
	for _, usual := range []string{"0", "Success", "OK"} {
		if slices.Contains(m.charged, usual) {
			m.success = usual
			break
		}
	}
	if m.success == "" && len(m.charged) > 0 {
		m.success = m.charged[0]
	}
	for n := 990_001; ; n++ {
		m.unknown = strconv.Itoa(n)
		if charged, known := t.Lookup(m.unknown, day); !charged && !known {
			break
		}
	}
	s.codes[t] = m
	return m
}

// freeCodes are some codes that are published as free and not charged that day.
func freeCodes(t *catalog.CodeTable, day billing.Day) []string {
	var all []string
	for code := range t.KnownFree.Exact { // sorted below
		all = append(all, code)
	}
	for _, r := range t.KnownFree.Ranges {
		all = append(all, strconv.FormatInt(r[0], 10), strconv.FormatInt(r[1], 10))
	}
	for _, p := range t.KnownFree.Prefixes {
		all = append(all, p+"Timeout")
	}
	slices.Sort(all)
	return slices.DeleteFunc(slices.Compact(all), func(code string) bool {
		charged, known := t.Lookup(code, day)
		return charged || !known
	})
}

// code chooses the result code: mostly success, some failures that are charged, some that are not.
func (s *stream) code(d dice, f *callFields, t *catalog.CodeTable, day billing.Day) bool {
	mix := s.mixOf(t, day)
	if d.chance(s.opts.Rates.UnknownCodes) {
		f.code = mix.unknown
		s.ledger.UnknownCodes++
		return false
	}
	n := d.IntN(100)
	if len(mix.free) > 0 && (n < 6 || len(mix.charged) == 0) {
		f.code = pick(d, mix.free)
		return false
	}
	if len(mix.charged) == 0 {
		f.code = mix.unknown
		s.ledger.UnknownCodes++
		return false
	}
	f.code = mix.success
	if n < 13 {
		f.code = pick(d, mix.charged)
	}
	return true
}
