package rebuild

import (
	"context"
	"crypto/sha256"
	"maps"
	"slices"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/canonical"
	"tollstream/pipeline/stored"
	"tollstream/pipeline/verify"
)

// Difference is a field in which a record of an output topic is not what the rebuild made.
type Difference struct {
	AccountID string
	Period    string // of a bill; the instant of a status change
	Name      string // of the field; "record" where one side has nothing
	Place     string // topic/partition/offset, the topic alone where it has no record
	Have      string // on the topic
	Want      string // by the rebuild
}

func (r *run) differs(d Difference) {
	r.result.Differences++
	r.Differs(d)
}

// made is a record that the rebuild made.
type made struct {
	id, account, period string
	json                []byte
}

// together is how many bills or changes are read at once.
const together = 1_000

// compareDone compares what the closings made that the database had when the rebuild began.
func (r *run) compareDone(ctx context.Context) error {
	for i := range r.recorded[:r.done] {
		s := &r.recorded[i]
		err := r.Store.BillsOf(ctx, s.ClosedAt, together, func(bills []stored.BillText) error {
			return r.compareBills(ctx, bills, r.absent)
		})
		if err != nil {
			return err
		}
		err = r.Store.StatusOf(ctx, s.ClosedAt, together, func(l []billing.StatusChange) error {
			return r.compareStatus(ctx, l, r.absent)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// compareBills compares bills with billing.bills. Absent is asked what it means that one is not
// there at all.
func (r *run) compareBills(
	ctx context.Context, bills []stored.BillText, absent func(*said, made) error,
) error {
	for i := range bills {
		b := &bills[i]
		m := made{b.BillID, b.AccountID, b.Period, b.JSON}
		if err := r.compare(ctx, r.bills, m, &r.result.Bills, absent); err != nil {
			return err
		}
	}
	return nil
}

// compareStatus compares the final changes of status with billing.service-status. What was said
// between closings is not made again: it depended on when it was said.
func (r *run) compareStatus(
	ctx context.Context, list []billing.StatusChange, absent func(*said, made) error,
) error {
	for i := range list {
		c := &list[i]
		if c.Provisional {
			continue
		}
		m := made{c.EventID, c.AccountID, r.timeOf(c.EffectiveAt),
			canonical.Status(c, r.Catalog.Settings.Zone)}
		if err := r.compare(ctx, r.status, m, &r.result.Statuses, absent); err != nil {
			return err
		}
	}
	return nil
}

// compare compares a record with all that its topic says under its id, once.
func (r *run) compare(
	ctx context.Context, s *said, m made, count *int, absent func(*said, made) error,
) error {
	says := s.records[m.id]
	if says == nil {
		if err := absent(s, m); err != nil {
			return err
		}
		says = &saying{}
		s.records[m.id] = says
	}
	if says.compared {
		return nil
	}
	sum := sha256.Sum256(m.json)
	for _, p := range says.places {
		if p.sum == sum {
			continue
		}
		if err := r.compareFields(ctx, s, p, m); err != nil {
			return err
		}
	}
	says.compared = true
	*count++
	return nil
}

func (r *run) compareFields(ctx context.Context, s *said, p place, m made) error {
	have, err := r.bytesAt(ctx, s, p)
	if err != nil {
		return err
	}
	fields, err := verify.Differences(have, m.json)
	if err != nil {
		fields = []verify.Field{{Name: "record", Have: err.Error(), Want: "canonical JSON"}}
	}
	if verify.OnlyWords(fields) {
		r.result.OtherWords++
		return nil
	}
	for _, f := range fields {
		r.differs(Difference{AccountID: m.account, Period: m.period, Name: f.Name, Place: s.at(p),
			Have: f.Have, Want: f.Want})
	}
	return nil
}

const nothing = "nothing"

// absent lists a record that its topic does not have.
func (r *run) absent(s *said, m made) error {
	r.differs(Difference{AccountID: m.account, Period: m.period, Name: "record", Place: s.topic,
		Have: nothing, Want: m.id})
	return nil
}

// closedAt is the time of a recorded closing, 0 before the first.
func (r *run) closedAt(i int) billing.Instant {
	if i < 0 {
		return 0
	}
	return r.recorded[i].ClosedAt
}

// base is the time of the last closing that is done now.
func (r *run) base() billing.Instant {
	if r.result.Open != nil {
		return r.closedAt(len(r.recorded) - 2)
	}
	return r.closedAt(len(r.recorded) - 1)
}

// compareLeft lists what the topics say of the closings that are done and no closing made. A change
// of status at the very instant of a closing is fixed by the next one.
func (r *run) compareLeft() {
	for _, s := range []*said{r.bills, r.status} {
		until := r.base()
		if s == r.status {
			until--
		}
		for _, id := range slices.Sorted(maps.Keys(s.records)) {
			if says := s.records[id]; !says.compared && says.at <= until {
				r.differs(Difference{AccountID: says.account, Period: says.period, Name: "record",
					Place: s.at(says.places[0]), Have: id, Want: nothing})
			}
		}
	}
}
