package closing

import (
	"encoding/json"
	"strconv"

	"github.com/shopspring/decimal"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/rating"
)

// AppendJSON appends the account's snapshot: what encoding/json makes of it, to the byte. Every
// account of every closing is written, and a month of billed units is a long list, so what most
// accounts have is written field by field; what few have is left to encoding/json.
func (a *Account) AppendJSON(to []byte) ([]byte, error) {
	w := snapshot{to: to}
	w.text(`{"ID":`, a.ID)
	w.text(`,"Name":`, a.Name)
	w.number(`,"OpenedAt":`, int64(a.OpenedAt))
	w.text(`,"Cohort":`, a.Cohort)
	w.text(`,"Cycle":`, string(a.Cycle))
	listIf(&w, `,"Packages":`, a.Packages, func(p *Package) { w.any("", p) })
	listIf(&w, `,"Contracts":`, a.Contracts, func(c *Contract) { w.any("", c) })
	listIf(&w, `,"Switches":`, a.Switches, func(s *Switch) {
		w.number(`{"At":`, int64(s.At))
		w.flag(`,"On":`, s.On)
		w.textIf(`,"EventID":`, s.EventID)
		w.raw("}")
	})
	listIf(&w, `,"Refunds":`, a.Refunds, func(r *Refund) { w.any("", r) })
	w.amount(`,"Settled":`, a.Settled)
	w.number(`,"FixedTo":`, int64(a.FixedTo))
	listIf(&w, `,"Moves":`, a.Moves, w.move)
	w.text(`,"Status":`, string(a.Status))
	w.number(`,"ArrearsFrom":`, int64(a.ArrearsFrom))
	listIf(&w, `,"Suspensions":`, a.Suspensions, func(s *Span) { w.any("", s) })
	listIf(&w, `,"Months":`, a.Months, w.month)
	if a.Pending.none() {
		w.raw(`,"Pending":{}`)
	} else {
		w.any(`,"Pending":`, &a.Pending)
	}
	w.text(`,"LastDigest":`, a.LastDigest)
	w.text(`,"LastBill":`, a.LastBill)
	w.raw("}")
	return w.to, w.fault
}

// none tells that nothing at all is pending, whatever the next bill needs.
func (p *Pending) none() bool {
	return p.empty() && len(p.BySub) == 0 && len(p.Tried) == 0
}

// snapshot is JSON under way. What is written begins with what stands before it.
type snapshot struct {
	to    []byte
	fault error // the first
}

func (w *snapshot) raw(s string) { w.to = append(w.to, s...) }

func (w *snapshot) any(before string, v any) {
	text, err := json.Marshal(v)
	if err != nil && w.fault == nil {
		w.fault = err
	}
	w.raw(before)
	w.to = append(w.to, text...)
}

// text writes a string. One with a character that encoding/json may write otherwise is left to it.
func (w *snapshot) text(before, s string) {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			w.any(before, s)
			return
		}
	}
	w.raw(before)
	w.to = append(append(append(w.to, '"'), s...), '"')
}

// textIf writes a string that is left out where it is empty.
func (w *snapshot) textIf(before, s string) {
	if s != "" {
		w.text(before, s)
	}
}

func (w *snapshot) number(before string, n int64) {
	w.raw(before)
	w.to = strconv.AppendInt(w.to, n, 10)
}

func (w *snapshot) flag(before string, yes bool) {
	w.raw(before)
	w.to = strconv.AppendBool(w.to, yes)
}

// flagIf writes a flag that is left out where it is false.
func (w *snapshot) flagIf(before string, yes bool) {
	if yes {
		w.flag(before, true)
	}
}

func (w *snapshot) amount(before string, d decimal.Decimal) {
	w.raw(before)
	w.to = append(billing.AppendText(append(w.to, '"'), d), '"')
}

// listIf writes a list that is left out where it is empty.
func listIf[T any](w *snapshot, before string, of []T, one func(*T)) {
	if len(of) > 0 {
		list(w, before, of, one)
	}
}

// list writes a list; null where there is none.
func list[T any](w *snapshot, before string, of []T, one func(*T)) {
	w.raw(before)
	if of == nil {
		w.raw("null")
		return
	}
	w.raw("[")
	for i := range of {
		if i > 0 {
			w.raw(",")
		}
		one(&of[i])
	}
	w.raw("]")
}

func (w *snapshot) move(m *Move) {
	w.number(`{"At":`, int64(m.At))
	w.flagIf(`,"Bill":`, m.Bill)
	w.text(`,"Kind":`, m.Kind)
	w.amount(`,"Amount":`, m.Amount)
	w.text(`,"Cause":`, m.Cause)
	w.flagIf(`,"Booked":`, m.Booked)
	w.raw("}")
}

func (w *snapshot) month(m *MonthUsage) {
	w.text(`{"Tag":`, string(m.Tag))
	w.number(`,"Month":`, int64(m.Month))
	list(w, `,"Units":`, m.Units, w.units)
	listIf(w, `,"Bills":`, m.Bills, func(b *MonthBill) {
		w.text(`{"BillID":`, b.BillID)
		w.number(`,"Quantity":`, b.Quantity)
		w.amount(`,"Amount":`, b.Amount)
		w.raw("}")
	})
	w.raw("}")
}

func (w *snapshot) units(u *BilledUnits) {
	w.raw("{")
	if u.Bill != "" {
		w.text(`"Bill":`, u.Bill)
		w.raw(",")
	}
	w.number(`"Day":`, int64(u.Day))
	w.number(`,"Quantity":`, u.Quantity)
	w.prices(&u.Prices)
	w.amount(`,"Charged":`, u.Charged)
	w.raw("}")
}

func (w *snapshot) prices(p *rating.Prices) {
	w.text(`,"Prices":{"ID":`, p.ID)
	w.text(`,"Source":`, p.Source)
	w.flag(`,"Contract":`, p.Contract)
	w.flag(`,"Graduated":`, p.Graduated)
	list(w, `,"Tiers":`, p.Tiers, func(t *billing.Tier) {
		w.number(`{"From":`, t.From)
		w.amount(`,"Price":`, t.Price)
		w.flag(`,"Unpublished":`, t.Unpublished)
		w.raw("}")
	})
	list(w, `,"Factors":`, p.Factors, func(f *rating.Factor) {
		w.text(`{"ID":`, f.ID)
		w.text(`,"Source":`, f.Source)
		w.amount(`,"Value":`, f.Value)
		w.raw("}")
	})
	w.raw("}")
}
