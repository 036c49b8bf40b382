package ingest

import (
	"bytes"
	"cmp"
	"strconv"
	"strings"
	"unsafe"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/catalog"
	"tollstream/pipeline/decode"
	"tollstream/pipeline/kafkalog"
	"tollstream/pipeline/roster"
	"tollstream/pipeline/stored"
	"tollstream/pipeline/tagging"
)

// builder decodes fetched records into the columns of a batch. What it remembers of records before
// saves work and changes no row, so that a record gives the same rows whichever batch it comes in.
type builder struct {
	cat       *catalog.Catalog
	calls     *decode.Reader
	events    *decode.Events
	eventsLog string         // the topic of account events
	roster    *roster.Roster // nil leaves calls without what is known of their accounts
	// logs names the log that each topic is; a topic that is not there is its first epoch.
	logs map[string]string

	dims   []string // names of the catalogue's dimensions
	hash   *stored.BillingHasher
	shapes *stored.Shapes
	looks  map[string]*look // by what they are made of
	key    []byte
	// The same by where they came from before, without looking at what they are made of.
	rests     map[*decode.Rest]*look
	libraries map[*billing.SDK]*stored.Library
	owners    []owner // by the number of the account
	learned   uint64  // the roster's
	strangers bool    // there were calls of accounts that are not known

	day            billing.Day // of the last call
	dayFrom, dayTo billing.Instant
}

// look is what many call records have in common.
type look struct {
	hashed []byte // BillingHasher.Rest
	judged []judged
}

// judged is a shape, and all that it follows from beside a look; the cohort is nil while the
// account is unknown. Of the time of a call its day is enough (tagging.Judge).
type judged struct {
	cohort *catalog.Cohort
	day    billing.Day
	topic  string
	shape  *stored.Shape
}

// owner is what is known of an account beside its main account; the cohort is nil while that is
// unknown. It holds for as long as the roster learns of no other.
type owner struct {
	cohort  *catalog.Cohort
	learned uint64 // the roster's
}

// judgedMax bounds the shapes of a look; usually there are a few cohorts and days.
const judgedMax = 16

// log is the name under which a topic's records are stored.
func (b *builder) log(topic string) string { return cmp.Or(b.logs[topic], topic) }

func newBuilder(cat *catalog.Catalog, eventsLog string, r *roster.Roster) builder {
	b := builder{cat: cat, calls: decode.NewCalls(cat).Reader(), events: decode.NewEvents(cat),
		eventsLog: eventsLog, roster: r, dims: cat.DimensionNames()}
	b.hash = stored.NewBillingHasher(b.dims)
	b.forget()
	return b
}

// rememberedMax bounds what is remembered; usually there are some hundreds.
const rememberedMax = 20_000

// accountsMax bounds the accounts that are remembered, with about 120 bytes each.
const accountsMax = 500_000

func (b *builder) forget() {
	b.shapes, b.looks = stored.NewShapes(b.dims), map[string]*look{}
	b.rests, b.libraries = map[*decode.Rest]*look{}, map[*billing.SDK]*stored.Library{}
	b.owners = nil
}

// begin makes a batch ready to be added to. All that is added to it then is of one builder.
func (b *builder) begin(out *stored.Batch) {
	out.Reset()
	if max(b.shapes.Len(), len(b.looks), len(b.rests), len(b.libraries)) > rememberedMax ||
		b.shapes.Accounts() > accountsMax {
		b.forget()
	}
}

// add adds the rows of fetched partitions, those of account events first, so that the calls after
// them are of accounts that are known. Nothing of the fetched memory is kept.
func (b *builder) add(out *stored.Batch, fetched []kafkalog.Fetched) {
	known := len(out.Events)
	b.learn()
	for _, events := range [...]bool{true, false} {
		for i := range fetched {
			if f := &fetched[i]; (f.Topic == b.eventsLog) == events {
				b.addPartition(out, f)
			}
		}
		if events && b.roster != nil && len(out.Events) > known {
			b.roster.Admit(out.Events[known:])
			b.learn()
		}
	}
}

func (b *builder) addPartition(out *stored.Batch, f *kafkalog.Fetched) {
	at := billing.Arrival{Topic: b.log(f.Topic), Partition: int32(f.Partition)}
	for i := range f.Records {
		r := &f.Records[i]
		at.Appended, at.Offset = billing.InstantOf(r.AppendTime), r.Offset
		b.addRecord(out, f, r, at)
	}
	at.Appended = 0
	for _, hole := range f.Compacted {
		for at.Offset = hole.From; at.Offset < hole.To; at.Offset++ {
			out.Deliveries.Add(&stored.Delivery{Arrival: at, Outcome: stored.DeliveredCompacted})
		}
	}
}

func (b *builder) addRecord(
	out *stored.Batch, f *kafkalog.Fetched, r *kafkalog.Record, at billing.Arrival,
) {
	d := stored.Delivery{Arrival: at, Outcome: stored.DeliveredData}
	switch {
	case r.Outcome == kafkalog.Aborted:
		d.Outcome = stored.DeliveredAborted
	case r.Outcome == kafkalog.Control:
		d.Outcome = stored.DeliveredControl
	case f.Topic == b.eventsLog:
		b.addEvent(out, r, &d)
	default:
		b.addCall(out, r, &d)
	}
	out.Deliveries.Add(&d)
	if len(r.Headers) > 0 &&
		(d.Outcome == stored.DeliveredData || d.Outcome == stored.DeliveredQuarantined) {
		out.Requeued = append(out.Requeued, requeued(r)...)
	}
}

// requeued says where a record stood before it was sent again out of the quarantine. A header that
// is not in the form in which ours are written says nothing.
func requeued(r *kafkalog.Record) []stored.Requeued {
	for _, h := range r.Headers {
		place := strings.Split(string(h.Value), "/")
		if h.Key != stored.RequeuedFrom || len(place) != 3 {
			continue
		}
		partition, _ := strconv.ParseInt(place[1], 10, 32) // compared below
		offset, _ := strconv.ParseInt(place[2], 10, 64)
		at := billing.Arrival{Topic: place[0], Partition: int32(partition), Offset: offset}
		if at.Topic != "" && partition >= 0 && offset >= 0 && at.Place() == string(h.Value) {
			return []stored.Requeued{{Topic: at.Topic, Partition: at.Partition, Offset: at.Offset,
				ValueHash: stored.ValueHash(r.Value)}}
		}
	}
	return nil
}

// addCall adds a call with what is known of it now. One that has to wait, or has no tag, goes into
// quarantine as well.
func (b *builder) addCall(out *stored.Batch, r *kafkalog.Record, d *stored.Delivery) {
	// The texts of the record are parts of its bytes, and nothing of them is kept.
	value := unsafe.String(unsafe.SliceData(r.Value), len(r.Value)) // #nosec G103
	rec, refusal := b.calls.Decode(value, d.Arrival)
	if refusal != nil {
		d.Outcome, d.Reason = stored.DeliveredQuarantined, refusal.Reason
		out.Quarantined = append(out.Quarantined, quarantined(r, d.Arrival, refusal))
		return
	}
	who, cohort := b.account(rec.AccountID)
	look, library := b.look(&rec), b.library(&rec)
	d.IDHash = stored.IDHash(rec.CallID)
	d.BillingHash = b.hash.SumOf(rec.AccountID, rec.OccurredAt, look.hashed)
	shape := b.shape(look, cohort, &rec)
	out.Calls.Add(shape, library, who, &stored.CallRow{CallID: rec.CallID,
		OccurredAt: rec.OccurredAt, Arrival: rec.Arrival, BillingHash: d.BillingHash})
	if b.roster == nil {
		return
	}
	if refusal = stored.Waits(who.Main, rec.AccountID, shape.NoTag); refusal == nil {
		return
	}
	d.Reason = refusal.Reason
	b.strangers = b.strangers || who.Main == ""
	q := quarantined(r, d.Arrival, refusal)
	q.AccountID, q.ID = strings.Clone(rec.AccountID), strings.Clone(rec.CallID)
	out.Quarantined = append(out.Quarantined, q)
}

// learn has the roster asked again whose an account is, if it has learned something since.
func (b *builder) learn() {
	if b.roster != nil {
		b.learned = b.roster.Learned()
	}
}

// account finds an account, and its cohort.
func (b *builder) account(id string) (*stored.Account, *catalog.Cohort) {
	a := b.shapes.LastAccount(id)
	if a != nil {
		if o := &b.owners[a.Number()]; o.learned == b.learned {
			return a, o.cohort
		}
	}
	main, o := "", owner{learned: b.learned}
	if b.roster != nil {
		main, o.cohort = b.roster.Who(id)
	}
	a = b.shapes.Account(id, main)
	if a.Number() == len(b.owners) {
		b.owners = append(b.owners, o)
	} else {
		b.owners[a.Number()] = o
	}
	return a, o.cohort
}

// library finds the client library of the record that was decoded last.
func (b *builder) library(rec *billing.CallRecord) *stored.Library {
	_, seen := b.calls.Common()
	if seen == nil {
		return b.shapes.Library(rec.SDK)
	}
	l := b.libraries[seen]
	if l == nil {
		l = b.shapes.Library(rec.SDK)
		b.libraries[seen] = l
	}
	return l
}

// look finds what the record that was decoded last has in common with others.
func (b *builder) look(rec *billing.CallRecord) *look {
	seen, _ := b.calls.Common()
	if seen == nil {
		return b.lookAt(rec)
	}
	l := b.rests[seen]
	if l == nil {
		l = b.lookAt(rec)
		b.rests[seen] = l
	}
	return l
}

func (b *builder) lookAt(rec *billing.CallRecord) *look {
	b.key = b.key[:0]
	b.key = stored.AppendText(stored.AppendText(b.key, rec.ResultCode), rec.NeedCharge)
	for _, t := range rec.Dims {
		b.key = stored.AppendText(b.key, t)
	}
	l := b.looks[string(b.key)]
	if l == nil {
		l = &look{hashed: b.hash.Rest(nil, rec)}
		b.looks[string(b.key)] = l
	}
	return l
}

// shape finds the shape of a call, and judges it where none like it was judged before.
func (b *builder) shape(
	l *look, cohort *catalog.Cohort, rec *billing.CallRecord,
) *stored.Shape {
	day := b.dayOf(rec.OccurredAt)
	for i := range l.judged {
		j := &l.judged[i]
		if j.cohort == cohort && j.day == day && j.topic == rec.Arrival.Topic {
			return j.shape
		}
	}
	c := stored.Call{CallRecord: *rec, CatalogDigest: b.cat.Digest}
	if cohort != nil {
		c.Cohort, c.Judgement = cohort.Name, tagging.Judge(b.cat, cohort, rec)
	}
	if len(l.judged) == judgedMax {
		l.judged = l.judged[:0]
	}
	l.judged = append(l.judged, judged{cohort, day, rec.Arrival.Topic, b.shapes.Of(&c)})
	return l.judged[len(l.judged)-1].shape
}

// dayOf is billing.DayOf, which looks for the offset of the zone each time.
func (b *builder) dayOf(at billing.Instant) billing.Day {
	if at < b.dayFrom || at >= b.dayTo {
		b.day = billing.DayOf(at, b.cat.Settings.Zone)
		b.dayFrom, b.dayTo = b.day.Start(b.cat.Settings.Zone), (b.day + 1).Start(b.cat.Settings.Zone)
	}
	return b.day
}

func (b *builder) addEvent(out *stored.Batch, r *kafkalog.Record, d *stored.Delivery) {
	ev, refusal := b.events.Decode(r.Value, d.Arrival)
	if refusal != nil {
		d.Outcome, d.Reason = stored.DeliveredQuarantined, refusal.Reason
		out.Quarantined = append(out.Quarantined, quarantined(r, d.Arrival, refusal))
		return
	}
	out.Events = append(out.Events, stored.Event{AccountEvent: ev, Value: bytes.Clone(r.Value)})
}

func quarantined(
	r *kafkalog.Record, at billing.Arrival, why *billing.Refusal,
) stored.Quarantined {
	return stored.Quarantined{Arrival: at, Key: bytes.Clone(r.Key), Value: bytes.Clone(r.Value),
		Headers: headers(r), Refusal: *why, Version: 1}
}

func headers(r *kafkalog.Record) map[string]string {
	if len(r.Headers) == 0 {
		return nil
	}
	all := make(map[string]string, len(r.Headers))
	for _, h := range r.Headers {
		all[strings.Clone(h.Key)] = string(h.Value)
	}
	return all
}
