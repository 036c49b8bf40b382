package ingest

import (
	"cmp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unsafe"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/catalog"
	"tollstream/pipeline/decode"
	"tollstream/pipeline/kafkalog"
	"tollstream/pipeline/roster"
	"tollstream/pipeline/stored"
)

// builder decodes fetched records into rows. Of a batch nothing but its memory is kept for the
// next, so that a record gives the same rows whichever batch it comes in.
type builder struct {
	calls     *decode.Calls
	events    *decode.Events
	eventsLog string   // the topic of account events
	dims      []string // names of the catalogue's dimensions
	// logs names the log that each topic is; a topic that is not there is its first epoch.
	logs    map[string]string
	workers []worker
	spare   stored.Batch // memory of a batch that is stored
}

// worker is what one goroutine decodes with.
type worker struct {
	calls *decode.Reader
	hash  *stored.BillingHasher
	rows  stored.Batch
}

// log is the name under which a topic's records are stored.
func (b *builder) log(topic string) string { return cmp.Or(b.logs[topic], topic) }

func newBuilder(cat *catalog.Catalog, eventsLog string) builder {
	b := builder{calls: decode.NewCalls(cat), events: decode.NewEvents(cat), eventsLog: eventsLog}
	for i := range cat.Dimensions {
		b.dims = append(b.dims, cat.Dimensions[i].Name)
	}
	return b
}

// build makes the rows of fetched partitions, several records at a time. The rows share the memory
// of the records, and are used until the next build at most.
func (b *builder) build(fetched []kafkalog.Fetched) *stored.Batch {
	for len(b.workers) < runtime.GOMAXPROCS(0) {
		b.workers = append(b.workers,
			worker{calls: b.calls.Reader(), hash: stored.NewBillingHasher(b.dims)})
	}
	records, holes := 0, 0
	for i := range fetched {
		records += len(fetched[i].Records)
		for _, hole := range fetched[i].Compacted {
			holes += int(hole.Len())
		}
	}
	out := &b.spare
	*out = stored.Batch{Calls: slices.Grow(out.Calls[:0], records),
		Deliveries: slices.Grow(out.Deliveries[:0], records+holes)}
	for i := range fetched {
		b.addPartition(out, &fetched[i])
	}
	return out
}

func (b *builder) addPartition(out *stored.Batch, f *kafkalog.Fetched) {
	n := min(len(b.workers), 1+len(f.Records)/1000)
	var wg sync.WaitGroup
	for i := range n {
		w := &b.workers[i]
		from, below := i*len(f.Records)/n, (i+1)*len(f.Records)/n
		w.rows = stored.Batch{Calls: behind(out.Calls, from, below),
			Deliveries: behind(out.Deliveries, from, below)}
		wg.Go(func() {
			for j := from; j < below; j++ {
				b.addRecord(w, f, &f.Records[j])
			}
		})
	}
	wg.Wait()
	for i := range n {
		rows := &b.workers[i].rows
		out.Calls = join(out.Calls, rows.Calls)
		out.Events = append(out.Events, rows.Events...)
		out.Quarantined = append(out.Quarantined, rows.Quarantined...)
		out.Deliveries = join(out.Deliveries, rows.Deliveries)
		out.Requeued = append(out.Requeued, rows.Requeued...)
	}
	for _, hole := range f.Compacted {
		for offset := hole.From; offset < hole.To; offset++ {
			at := billing.Arrival{Topic: b.log(f.Topic), Partition: int32(f.Partition), Offset: offset}
			out.Deliveries = append(out.Deliveries,
				stored.Delivery{Arrival: at, Outcome: stored.DeliveredCompacted})
		}
	}
}

// behind is room in the memory of a list, for what comes from so many behind its end on.
func behind[T any](list []T, from, below int) []T {
	end := len(list)
	return list[end+from : end+from : end+below]
}

// join appends rows that stand in the list's own memory, most often just behind it already.
func join[T any](list, rows []T) []T {
	n := len(list)
	if len(rows) > 0 && &list[:n+1][n] == &rows[0] {
		return list[:n+len(rows)]
	}
	return append(list, rows...)
}

func (b *builder) addRecord(w *worker, f *kafkalog.Fetched, r *kafkalog.Record) {
	out := &w.rows
	at := billing.Arrival{
		Appended: billing.InstantOf(r.AppendTime), Topic: b.log(f.Topic),
		Partition: int32(f.Partition), Offset: r.Offset,
	}
	d := stored.Delivery{Arrival: at, Outcome: stored.DeliveredData}
	switch {
	case r.Outcome == kafkalog.Aborted:
		d.Outcome = stored.DeliveredAborted
	case r.Outcome == kafkalog.Control:
		d.Outcome = stored.DeliveredControl
	case f.Topic == b.eventsLog:
		b.addEvent(out, r, &d)
	default:
		w.addCall(r, &d)
	}
	out.Deliveries = append(out.Deliveries, d)
	if d.Outcome == stored.DeliveredData || d.Outcome == stored.DeliveredQuarantined {
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

func (w *worker) addCall(r *kafkalog.Record, d *stored.Delivery) {
	// The texts of the record are parts of its bytes, which stay as they are until they are released.
	value := unsafe.String(unsafe.SliceData(r.Value), len(r.Value)) // #nosec G103
	rec, refusal := w.calls.Decode(value, d.Arrival)
	if refusal != nil {
		d.Outcome, d.Reason = stored.DeliveredQuarantined, refusal.Reason
		w.rows.Quarantined = append(w.rows.Quarantined, quarantined(r, d.Arrival, refusal))
		return
	}
	d.IDHash, d.BillingHash = stored.IDHash(rec.CallID), w.hash.Sum(&rec)
	w.rows.Calls = append(w.rows.Calls,
		stored.Call{CallRecord: rec, Key: r.Key, Value: r.Value, Headers: headers(r)})
}

func (b *builder) addEvent(out *stored.Batch, r *kafkalog.Record, d *stored.Delivery) {
	ev, refusal := b.events.Decode(r.Value, d.Arrival)
	if refusal != nil {
		d.Outcome, d.Reason = stored.DeliveredQuarantined, refusal.Reason
		out.Quarantined = append(out.Quarantined, quarantined(r, d.Arrival, refusal))
		return
	}
	out.Events = append(out.Events, stored.Event{AccountEvent: ev, Value: r.Value})
}

func quarantined(
	r *kafkalog.Record, at billing.Arrival, why *billing.Refusal,
) stored.Quarantined {
	return stored.Quarantined{
		Arrival: at, Key: r.Key, Value: r.Value, Headers: headers(r), Refusal: *why, Version: 1,
	}
}

func headers(r *kafkalog.Record) map[string]string {
	if len(r.Headers) == 0 {
		return nil
	}
	all := make(map[string]string, len(r.Headers))
	for _, h := range r.Headers {
		all[h.Key] = string(h.Value)
	}
	return all
}

// enrich adds to every call what is known of it now, and puts those that have to wait or have no
// tag into quarantine as well.
func enrich(batch *stored.Batch, r *roster.Roster) {
	deliveries := batch.Deliveries
	for i := range batch.Calls {
		c := &batch.Calls[i]
		r.Enrich(c)
		if refusal := c.Refusal(); refusal != nil {
			for deliveries[0].Arrival != c.Arrival { // both are in the order in which they came
				deliveries = deliveries[1:]
			}
			deliveries[0].Reason = refusal.Reason
			batch.Quarantined = append(batch.Quarantined, stored.Quarantined{
				Arrival: c.Arrival, Key: c.Key, Value: c.Value, Headers: c.Headers,
				Refusal: *refusal, AccountID: c.AccountID, ID: c.CallID, Version: 1,
			})
		}
	}
}
