package canonical

import (
	"strconv"
	"time"

	"github.com/shopspring/decimal"

	"tollstream/pipeline/billing"
)

// Bill is a bill as the contract's JSON. Times are RFC 3339 in the zone of the deployment; amounts
// are decimal strings without trailing zeros, total and balances with two places.
func Bill(b *billing.Bill, zone *time.Location) []byte {
	text, _ := Explained(b, zone)
	return text
}

// Explained is Bill, and the part of it that explains each line, as Steps gives it.
func Explained(b *billing.Bill, zone *time.Location) (text []byte, explain [][]byte) {
	w := writer{text: make([]byte, 0, sizeOf(b)), next: '{'}
	w.str("account_id", b.AccountID)
	w.money("balance_after", b.BalanceAfter)
	w.money("balance_before", b.BalanceBefore)
	w.str("bill_id", b.BillID)
	w.str("catalog_digest", b.CatalogDigest)
	w.str("catalog_version", b.CatalogVersion)
	w.str("closed_at", b.ClosedAt.In(zone))
	w.str("currency", b.Currency)
	w.str("cycle", string(b.Period.Cycle))
	w.str("digest", b.Digest)
	w.key("lines")
	places := make([][2]int, len(b.Lines))
	w.list(len(b.Lines), func(i int) { places[i] = w.line(&b.Lines[i]) })
	w.str("period", b.Period.String())
	w.str("period_end", b.PeriodEnd.In(zone))
	w.str("period_start", b.PeriodStart.In(zone))
	w.str("previous_digest", b.PreviousDigest)
	w.num("rule_version", int64(b.RuleVersion))
	if len(b.SubAccounts) > 0 {
		w.key("sub_accounts")
		w.list(len(b.SubAccounts), func(i int) { w.subAccount(&b.SubAccounts[i]) })
	}
	w.money("total", b.Total)
	w.end()
	explain = make([][]byte, len(places))
	for i, p := range places {
		explain[i] = w.text[p[0]:p[1]:p[1]]
	}
	return w.text, explain
}

// sizeOf guesses the size of a bill's JSON, rather too large than too small.
func sizeOf(b *billing.Bill) int {
	const bill, line, step = 720, 260, 40
	n := bill + len(b.Lines)*line + len(b.SubAccounts)*line
	for i := range b.Lines {
		for _, s := range b.Lines[i].Explain {
			n += step + len(s.Text)
		}
	}
	return n
}

// Line is one bill line as the contract's JSON.
func Line(l *billing.BillLine) []byte {
	w := writer{next: '{'}
	w.line(l)
	return w.text
}

// Steps are the steps of an explanation as JSON.
func Steps(steps []billing.Step) []byte {
	w := writer{next: '{'}
	w.steps(steps)
	return w.text
}

// writer writes objects whose keys come in their order.
type writer struct {
	text []byte
	next byte // what stands before the next key: { or ,
}

func (w *writer) key(k string) {
	w.text = append(append(append(w.text, w.next, '"'), k...), '"', ':')
	w.next = ','
}

func (w *writer) str(k, value string) {
	w.key(k)
	w.text = AppendString(w.text, value)
}

// orNull writes a text, or null where it is empty.
func (w *writer) orNull(k, value string) {
	if value == "" {
		w.null(k)
		return
	}
	w.str(k, value)
}

func (w *writer) null(k string) {
	w.key(k)
	w.text = append(w.text, "null"...)
}

func (w *writer) num(k string, value int64) {
	w.key(k)
	w.text = strconv.AppendInt(w.text, value, 10)
}

func (w *writer) money(k string, value decimal.Decimal) {
	w.key(k)
	w.text = append(billing.AppendMoney(append(w.text, '"'), value), '"')
}

func (w *writer) decimal(k string, value decimal.Decimal) {
	w.key(k)
	w.text = append(billing.AppendText(append(w.text, '"'), value), '"')
}

// list writes n objects.
func (w *writer) list(n int, object func(i int)) {
	w.text = append(w.text, '[')
	for i := range n {
		if i > 0 {
			w.text = append(w.text, ',')
		}
		w.next = '{'
		object(i)
	}
	w.text, w.next = append(w.text, ']'), ','
}

func (w *writer) end() { w.text, w.next = append(w.text, '}'), ',' }

// line writes a bill line and tells where its explanation stands.
func (w *writer) line(l *billing.BillLine) (explain [2]int) {
	w.decimal("amount", l.Amount)
	w.key("explain")
	explain[0] = len(w.text)
	w.steps(l.Explain)
	explain[1] = len(w.text)
	w.key("flags")
	w.text = AppendStrings(w.text, l.Flags)
	w.str("kind", string(l.Kind))
	w.num("line_no", int64(l.No))
	w.orNull("package_id", l.PackageID)
	w.orNull("period", l.Period)
	w.num("quantity", l.Quantity)
	w.orNull("tag", l.Tag)
	w.orNull("tag_name", l.TagName)
	if l.UnitPrice == nil {
		w.null("unit_price")
	} else {
		w.decimal("unit_price", *l.UnitPrice)
	}
	w.end()
	return explain
}

func (w *writer) steps(steps []billing.Step) {
	w.list(len(steps), func(i int) {
		w.str("rule", steps[i].Rule)
		w.str("text", steps[i].Text)
		w.end()
	})
}

func (w *writer) subAccount(s *billing.SubAccountUsage) {
	w.str("account_id", s.AccountID)
	w.str("kind", string(s.Kind))
	w.num("quantity", s.Quantity)
	w.str("tag", s.Tag)
	w.end()
}

// Status is a status change as the contract's JSON. Only a record said between closings has the
// fields provisional, based_on, corrects and withdraws.
func Status(s *billing.StatusChange, zone *time.Location) []byte {
	o := Object{
		"event_id": s.EventID, "account_id": s.AccountID, "status": string(s.Status),
		"effective_at": s.EffectiveAt.In(zone), "balance": Money(s.Balance), "cause": s.Cause,
	}
	if s.Provisional {
		o["provisional"], o["based_on"] = true, s.BasedOn.In(zone)
	}
	if s.Corrects != "" {
		o["corrects"] = s.Corrects
	}
	if s.Withdraws {
		o["withdraws"] = true
	}
	return JSON(o)
}

// Money is an amount with the two places of CNY.
func Money(d decimal.Decimal) string { return string(billing.AppendMoney(nil, d)) }
