package generate

import (
	"math"
	"strconv"
	"strings"

	"tollstream/pipeline/billing"
)

// spoilt is an event that cannot be decoded, with ACCOUNT, TIME and bad-N to be filled in.
type spoilt struct {
	text   string
	reason billing.Reason
}

var spoiltEvents = []spoilt{
	{`event_id=bad-N type=balance.topped_up`, billing.NotJSON},
	{`{"event_id":"bad-N","type":"balance.topped_up","account_id":"ACCOUNT","effective_at":"TI`,
		billing.NotJSON},
	{`{"event_id":"bad-N","type":"balance.topped_up","account_id":"ACCOUNT",` +
		`"effective_at":"TIME","amount":NaN}`, billing.NotJSON},
	{`{"event_id":"bad-N","type":"balance.topped_up","account_id":"ACCOUNT",` +
		`"effective_at":"TIME","amount":"NaN"}`, billing.FieldValue},
	{`{"event_id":"bad-N","type":"balance.topped_up","account_id":"ACCOUNT",` +
		`"effective_at":"TIME","amount":100.5}`, billing.FieldType},
	{`{"event_id":"bad-N","type":"balance.topped_up","account_id":"ACCOUNT",` +
		`"effective_at":"TIME","amount":"-5"}`, billing.FieldValue},
	{`{"event_id":"bad-N","type":"balance.topped_up","account_id":"ACCOUNT",` +
		`"effective_at":"TIME","amount":"1.005"}`, billing.FieldValue},
	{`{"event_id":"bad-N","type":"balance.topped_up","account_id":"ACCOUNT",` +
		`"effective_at":"2023-13-01T00:00:00+08:00","amount":"5"}`, billing.FieldValue},
	{`{"event_id":"bad-N","type":"balance.topped_up","account_id":"ACCOUNT",` +
		`"effective_at":"2017-01-01T00:00:00+08:00","amount":"5"}`, billing.TimeOutOfRange},
	{`{"event_id":"bad-N","type":"balance.topped_up","account_id":"ACCOUNT",` +
		`"effective_at":"TIME"}`, billing.FieldMissing},
	{`{"event_id":"bad-N","type":"account.frozen","account_id":"ACCOUNT",` +
		`"effective_at":"TIME"}`, billing.UnknownEventType},
	{`{"event_id":"bad-N","event_id":"bad-N","type":"account.closed","account_id":"ACCOUNT",` +
		`"effective_at":"TIME"}`, billing.DuplicateKey},
	{`{"event_id":"bad-N","type":"package.delivered","account_id":"ACCOUNT",` +
		`"effective_at":"TIME","package_id":"p","tag":"idcard","kind":"paid","quota":1.5,` +
		`"price":"1","delivered_at":"TIME"}`, billing.FieldValue},
	{`{"event_id":"bad-N","type":"price.agreed","account_id":"ACCOUNT","effective_at":"TIME",` +
		`"tag":"idcard","from":"2023-01-01","mode":"volume",` +
		`"tiers":[{"from_quantity":5,"unit_price":"1"}]}`, billing.TiersRefused},
	{`{"event_id":"bad-N","type":"sub_account.added","account_id":"ACCOUNT",` +
		"\"effective_at\":\"TIME\",\"sub_account_id\":\"\xc3\x28\"}", billing.NotJSON},
}

// spoilEvents adds events that cannot be decoded, as many as the rate says, rounded up.
func (g *Generator) spoilEvents() {
	d := newDice(g.opts.Seed, eventDice|1<<40)
	n := int(math.Ceil(g.opts.Rates.Malformed * float64(len(g.events))))
	for i := range n {
		kind, a := spoiltEvents[i%len(spoiltEvents)], pick(d, g.accounts)
		at := d.between(a.start, g.end()) / billing.Second * billing.Second
		value := strings.NewReplacer("ACCOUNT", a.id, "bad-N", "bad-"+strconv.Itoa(i+1),
			"TIME", at.In(g.opts.Catalog.Settings.Zone)).Replace(kind.text)
		r := g.eventRecord(a.id, []byte(value))
		r.Expect = kind.reason
		g.planned.MalformedEvents[kind.reason]++
		g.plan(at+billing.Second, r)
	}
}
