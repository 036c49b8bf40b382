package decode

import (
	"encoding/json"
	"regexp"
	"strconv"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/shopspring/decimal"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/catalog"
	"tollstream/pipeline/rating"
)

// Events decodes account events.
type Events struct{ limits TimeLimits }

// NewEvents makes a decoder for account events under a catalogue's time limits.
func NewEvents(cat *catalog.Catalog) *Events { return &Events{limits: limitsOf(cat)} }

// Decode reads one record, or says why it cannot be used (B7).
func (e *Events) Decode(value []byte, at billing.Arrival) (billing.AccountEvent, *billing.Refusal) {
	o, refusal := ParseObject(value)
	if refusal != nil {
		return billing.AccountEvent{}, refusal
	}
	return e.FromObject(o, at)
}

// FromObject is Decode for a record that was parsed already.
func (e *Events) FromObject(o Object, at billing.Arrival) (billing.AccountEvent, *billing.Refusal) {
	r := reader{Object: o}
	ev := billing.AccountEvent{
		EventID:     r.text("event_id", eventIDCharsMax),
		Type:        billing.EventType(r.text("type", textCharsMax)),
		AccountID:   r.text("account_id", accountIDCharsMax),
		EffectiveAt: r.instant("effective_at"),
		Arrival:     at,
	}
	r.eventFields(&ev)
	if r.refusal == nil {
		r.refusal = e.limits.check("effective_at", ev.EffectiveAt, at.Appended)
	}
	if r.refusal != nil {
		return billing.AccountEvent{}, r.refusal
	}
	return ev, nil
}

// eventFields reads the fields of the event's type.
func (r *reader) eventFields(ev *billing.AccountEvent) {
	switch ev.Type {
	case billing.AccountOpened:
		ev.OpenedAt = r.instant("opened_at")
		ev.Name = r.optional("name", textCharsMax)
	case billing.SubAccountAdded:
		ev.SubAccountID = r.text("sub_account_id", accountIDCharsMax)
	case billing.PackageDelivered:
		ev.PackageID = r.text("package_id", textCharsMax)
		ev.TagName = r.text("tag", textCharsMax)
		ev.Free = r.oneOf("kind", "free", "paid") == "free"
		ev.Quota = r.count("quota", 1, quotaMax)
		ev.Price = r.amount("price", moneyPlacesMax)
		if ev.Price.IsNegative() {
			r.fail(refuse(billing.FieldValue, "price %s is negative", ev.Price))
		}
		ev.DeliveredAt = r.instant("delivered_at")
	case billing.PackageRefunded:
		ev.PackageID = r.text("package_id", textCharsMax)
	case billing.BalanceToppedUp:
		ev.Amount = r.amount("amount", moneyPlacesMax)
		if r.refusal == nil && !ev.Amount.IsPositive() {
			r.fail(refuse(billing.FieldValue, "amount %s is not above 0", ev.Amount))
		}
	case billing.BalanceAdjusted:
		ev.Amount = r.amount("amount", moneyPlacesMax)
		if r.refusal == nil && ev.Amount.IsZero() {
			r.fail(refuse(billing.FieldValue, "amount is 0"))
		}
		ev.Reason = r.text("reason", textCharsMax)
	case billing.UsageVoided:
		ev.CallIDs = r.callIDs()
		ev.Reason = r.text("reason", textCharsMax)
	case billing.PriceAgreed:
		r.agreement(ev)
	case billing.CatalogCorrected:
		ev.TagName = r.optional("tag", textCharsMax)
		r.span(ev)
		ev.Reason = r.text("reason", textCharsMax)
	case billing.PostpaidDisabled, billing.PostpaidEnabled, billing.AccountClosed:
	default:
		r.fail(refuse(billing.UnknownEventType, "type is %q", ev.Type))
	}
}

func (r *reader) agreement(ev *billing.AccountEvent) {
	ev.TagName = r.text("tag", textCharsMax)
	r.span(ev)
	ev.Graduated = r.oneOf("mode", "graduated", "volume") == "graduated"
	ev.Tiers = r.tiers()
	if r.refusal == nil {
		if err := rating.CheckTiers(ev.Tiers); err != nil {
			r.fail(refuse(billing.TiersRefused, "tiers: %v", err))
		}
	}
}

// span reads days: from, and to if the span ends.
func (r *reader) span(ev *billing.AccountEvent) {
	ev.From = r.day(r.text("from", textCharsMax), "from")
	if to := r.optional("to", textCharsMax); to != "" {
		ev.To = r.day(to, "to")
		if r.refusal == nil && ev.To <= ev.From {
			r.fail(refuse(billing.FieldValue, "to %s is not after from %s", ev.To, ev.From))
		}
	}
}

func (r *reader) oneOf(name, a, b string) string {
	s := r.text(name, textCharsMax)
	if r.refusal == nil && s != a && s != b {
		r.fail(refuse(billing.FieldValue, "%s is %q, not %s or %s", name, s, a, b))
	}
	return s
}

func (r *reader) day(s, name string) billing.Day {
	if r.refusal != nil {
		return 0
	}
	d, err := billing.ParseDay(s)
	if err != nil {
		r.fail(refuse(billing.FieldValue, "%s %v", name, err))
	}
	return d
}

// count reads a required JSON integer within bounds; 1.0, 1e3 and "1" are refused.
func (r *reader) count(name string, least, most int64) int64 {
	v, ok := r.raw(name)
	switch {
	case !ok:
		r.fail(refuse(billing.FieldMissing, "%s is missing", name))
		return 0
	case kind(v) != '0':
		r.fail(refuse(billing.FieldType, "%s is a JSON %s, not an integer", name, kind(v)))
		return 0
	}
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil || n < least || n > most {
		r.fail(refuse(billing.FieldValue, "%s is %.40s, not an integer from %d to %d",
			name, v, least, most))
	}
	return n
}

var decimalText = regexp.MustCompile(`^-?[0-9]+(\.[0-9]+)?$`)

// amount reads a required decimal string such as "12.50"; a JSON number is refused, because a
// float could have stood behind it.
func (r *reader) amount(name string, places int) decimal.Decimal {
	s := r.text(name, textCharsMax)
	if r.refusal != nil {
		return decimal.Zero
	}
	d, f := parseAmount(name, s, places)
	if f != nil {
		r.fail(f)
	}
	return d
}

func parseAmount(name, s string, places int) (decimal.Decimal, *billing.Refusal) {
	if len(s) > 2*amountDigitsMax || !decimalText.MatchString(s) {
		return decimal.Zero, refuse(billing.FieldValue,
			"%s is %.40q, not a decimal such as 12.50 with at most %d digits before and %d after "+
				"the point", name, s, amountDigitsMax, places)
	}
	d, err := decimal.NewFromString(s)
	tooFine := err == nil && !d.Equal(d.Truncate(int32(places)))
	if err != nil || tooFine || d.NumDigits()+int(d.Exponent()) > amountDigitsMax {
		return decimal.Zero, refuse(billing.FieldValue,
			"%s is %s; at most %d digits before and %d after the point are allowed",
			name, s, amountDigitsMax, places)
	}
	return d, nil
}

func (r *reader) callIDs() []string {
	list := r.list("call_ids", callIDsMax)
	ids := make([]string, 0, len(list))
	for i, v := range list {
		var s string
		if v.Kind() != '"' || json.Unmarshal(v, &s) != nil || s == "" ||
			utf8.RuneCountInString(s) > callIDCharsMax {
			r.fail(refuse(billing.FieldValue, "call_ids[%d] is not a call id", i))
			return nil
		}
		ids = append(ids, s)
	}
	return ids
}

// list reads a required, non-empty JSON array of at most most elements.
func (r *reader) list(name string, most int) []jsontext.Value {
	v, ok := r.raw(name)
	switch {
	case !ok:
		r.fail(refuse(billing.FieldMissing, "%s is missing", name))
		return nil
	case v[0] != '[':
		r.fail(refuse(billing.FieldType, "%s is a JSON %s, not a list", name, kind(v)))
		return nil
	}
	var list []json.RawMessage
	if err := json.Unmarshal([]byte(v), &list); err != nil || len(list) == 0 || len(list) > most {
		r.fail(refuse(billing.FieldValue, "%s has %d elements; 1 to %d are allowed",
			name, len(list), most))
		return nil
	}
	out := make([]jsontext.Value, len(list))
	for i := range list {
		out[i] = jsontext.Value(list[i])
	}
	return out
}

func (r *reader) tiers() []billing.Tier {
	list := r.list("tiers", tiersMax)
	tiers := make([]billing.Tier, 0, len(list))
	for i, v := range list {
		o, refusal := ParseObject(v)
		if refusal != nil {
			r.fail(refuse(refusal.Reason, "tiers[%d]: %s", i, refusal.Detail))
			return nil
		}
		t := reader{Object: o}
		tier := billing.Tier{
			From:  t.count("from_quantity", 0, quantityMax),
			Price: t.amount("unit_price", pricePlacesMax),
		}
		if t.refusal == nil && tier.Price.IsNegative() {
			t.fail(refuse(billing.FieldValue, "unit_price %s is negative", tier.Price))
		}
		if t.refusal != nil {
			r.fail(refuse(t.refusal.Reason, "tiers[%d]: %s", i, t.refusal.Detail))
			return nil
		}
		tiers = append(tiers, tier)
	}
	return tiers
}
