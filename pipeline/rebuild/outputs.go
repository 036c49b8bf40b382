package rebuild

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"

	"github.com/shopspring/decimal"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/kafkalog"
)

// said is what an output topic says, by the id of a bill or of a status change. It is in memory for
// the length of a rebuild, without the records' bytes: about 200 bytes for each.
type said struct {
	topic   string
	records map[string]*saying
}

// saying is what is said under one id. Topics may repeat a record; places are those of records that
// say something else than the first.
type saying struct {
	account, period string
	at              billing.Instant // a bill's close time, a status change's instant
	places          []place
	compared        bool
}

// place is where a record stands, with the hash of its bytes.
type place struct {
	partition int
	offset    int64
	sum       [sha256.Size]byte
}

func (s *said) add(id string, next saying) {
	known := s.records[id]
	if known == nil {
		s.records[id] = &next
		return
	}
	for i := range known.places {
		if known.places[i].sum == next.places[0].sum {
			return
		}
	}
	known.places = append(known.places, next.places[0])
}

func (s *said) at(p place) string {
	return fmt.Sprintf("%s/%d/%d", s.topic, p.partition, p.offset)
}

// listen reads the output topics as they are now.
func (r *run) listen(ctx context.Context) error {
	r.bills = &said{topic: r.Options.Bills, records: map[string]*saying{}}
	r.status = &said{topic: r.Status, records: map[string]*saying{}}
	if err := r.each(ctx, r.bills, r.hearBill); err != nil {
		return err
	}
	return r.each(ctx, r.status, r.hearStatus)
}

// each reads a topic to its end. A record that cannot be read differs from whatever stood there.
func (r *run) each(
	ctx context.Context, s *said, hear func(value []byte, at place) error,
) error {
	info, err := r.Log.Topic(ctx, s.topic)
	if err != nil {
		return err
	}
	for _, partition := range info.Partitions {
		next, _, end, err := r.Log.Offsets(ctx, s.topic, partition)
		if err != nil {
			return err
		}
		for next < end {
			f, err := r.Log.Fetch(ctx, s.topic, partition, next)
			if err != nil {
				return err
			}
			for i := range f.Records {
				record := &f.Records[i]
				if record.Outcome != kafkalog.Data {
					continue
				}
				at := place{partition, record.Offset, sha256.Sum256(record.Value)}
				if err := hear(record.Value, at); err != nil {
					r.differs(Difference{Place: s.at(at), Name: "record", Have: err.Error(),
						Want: "canonical JSON"})
				}
			}
			next = f.Next
			f.Release()
		}
	}
	return nil
}

func (r *run) hearBill(value []byte, at place) error {
	var b struct {
		ID       string `json:"bill_id"`
		Account  string `json:"account_id"`
		Period   string `json:"period"`
		ClosedAt string `json:"closed_at"`
	}
	if err := json.Unmarshal(value, &b); err != nil {
		return err
	}
	closed, err := billing.ParseInstant(b.ClosedAt)
	if err == nil {
		r.bills.add(b.ID, saying{account: b.Account, period: b.Period, at: closed,
			places: []place{at}})
	}
	return err
}

// hearStatus keeps final changes to be compared, and provisional ones that no closing has fixed.
func (r *run) hearStatus(value []byte, at place) error {
	var w struct {
		ID          string          `json:"event_id"`
		Account     string          `json:"account_id"`
		Status      string          `json:"status"`
		EffectiveAt string          `json:"effective_at"`
		Balance     decimal.Decimal `json:"balance"`
		Cause       string          `json:"cause"`
		Provisional bool            `json:"provisional"`
		BasedOn     string          `json:"based_on"`
		Corrects    string          `json:"corrects"`
		Withdraws   bool            `json:"withdraws"`
	}
	if err := json.Unmarshal(value, &w); err != nil {
		return err
	}
	effective, err := billing.ParseInstant(w.EffectiveAt)
	if err != nil {
		return err
	}
	if !w.Provisional {
		r.status.add(w.ID, saying{account: w.Account, period: r.timeOf(effective), at: effective,
			places: []place{at}})
		return nil
	}
	base, err := billing.ParseInstant(w.BasedOn)
	if err == nil && effective >= r.closedAt(len(r.recorded)-2) {
		r.open = append(r.open, billing.StatusChange{EventID: w.ID, AccountID: w.Account,
			Status: billing.Status(w.Status), EffectiveAt: effective, Balance: w.Balance,
			Cause: w.Cause, Provisional: true, BasedOn: base, Corrects: w.Corrects,
			Withdraws: w.Withdraws})
	}
	return err
}

func (r *run) timeOf(at billing.Instant) string { return at.In(r.Catalog.Settings.Zone) }

// bytesAt reads a record again.
func (r *run) bytesAt(ctx context.Context, s *said, p place) ([]byte, error) {
	f, err := r.Log.Fetch(ctx, s.topic, p.partition, p.offset)
	if err != nil {
		return nil, err
	}
	if len(f.Records) == 0 || f.Records[0].Offset != p.offset {
		return nil, fmt.Errorf("%s is gone from the log", s.at(p))
	}
	return f.Records[0].Value, nil
}
