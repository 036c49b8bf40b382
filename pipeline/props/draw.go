package props

import (
	"fmt"
	"maps"
	"strings"

	"tollstream/pipeline/billing"
)

func (g *gen) event(kind, account string, at billing.Instant, pairs ...any) {
	g.events++
	fields := by(pairs...)
	fields["event_id"], fields["type"] = fmt.Sprintf("e%d", g.events), kind
	fields["account_id"], fields["effective_at"] = account, g.timeText(at)
	arrives := g.arrival(at)
	g.add(false, fields, arrives)
	if g.one(25) { // the same again, or another event under the same id
		fields = maps.Clone(fields)
		if g.one(3) {
			fields["effective_at"] = g.timeText(g.instant())
		}
		g.add(false, fields, g.arrival(max(arrives, at)))
	}
}

// openings are one moment of each cohort, and those at its edges.
var openings = []string{
	"2020-01-05T00:00:00+08:00", "2021-06-21T23:59:59.999999+08:00", "2021-06-22T00:00:00+08:00",
	"2021-08-01T10:00:00+08:00", "2023-01-03T23:59:59.999999+08:00", "2023-01-04T00:00:00+08:00",
}

// account draws an account with everything that happens to it but its calls.
func (g *gen) account(id string) {
	opened := pick(g, openings...)
	start := g.zoneDay(g.base - 1)
	switch g.IntN(12) {
	case 0, 1: // waits
		at := g.instant()
		g.event("account.opened", id, at, "opened_at", opened)
	case 2: // never opens, or only by the event below
		if g.one(2) {
			break
		}
		fallthrough
	default:
		g.add(false, by("event_id", "open-"+id, "type", "account.opened", "account_id", id,
			"effective_at", g.timeText(start), "opened_at", opened), start)
	}
	if g.one(15) {
		g.event("account.opened", id, g.instant(), "opened_at", pick(g, opened, openings[0]))
	}
	for range g.IntN(3) {
		g.event("sub_account.added", id, g.instant(),
			"sub_account_id", pick(g, "sub1", "sub1", "sub2", "bolt", "zinc"))
	}
	for range g.IntN(4) {
		g.event("balance.topped_up", id, g.instant(),
			"amount", pick(g, "0.01", "0.30", "1", "2.5", "100", "1000"))
	}
	for range g.IntN(3) {
		g.event("balance.adjusted", id, g.instant(), "reason", "r",
			"amount", pick(g, "-0.01", "-1", "-5", "0.01", "1", "-100"))
	}
	for range g.IntN(4) {
		g.buy(id)
	}
	if g.one(2) {
		for range 1 + g.IntN(3) {
			g.event(pick(g, "postpaid.disabled", "postpaid.enabled"), id, g.instant())
		}
	}
	for range g.IntN(3) {
		g.contract(id)
	}
	if g.one(8) {
		g.event("account.closed", id, g.instant())
	}
	if g.one(6) { // under one catalogue it changes nothing
		g.event("catalog.corrected", id, g.instant(), "reason", "r", "from", "2021-01-01")
	}
	if g.one(12) {
		g.spoil(id)
	}
}

// buy draws a package: tiny, of today, of a year ago or of 29 February, perhaps with a refund.
func (g *gen) buy(account string) {
	at := g.instant()
	deliveredAt := at
	switch g.IntN(6) {
	case 0:
		deliveredAt = g.instant()
	case 1, 2: // its last days are now
		year := (g.base + billing.Day(g.IntN(4))).AddYears(-1)
		deliveredAt = g.zoneDay(year) + pick[billing.Instant](g, 0, 9*billing.Hour)
		if feb29, err := billing.ParseDay(year.String()[:4] + "-02-29"); err == nil && g.one(2) {
			deliveredAt = g.zoneDay(feb29)
		}
	}
	price := pick(g, "0", "0.30", "1", "1", "30", "300")
	id := fmt.Sprintf("p%d", 1+g.IntN(5))
	g.event("package.delivered", account, at, "package_id", id,
		"tag", pick(g, pick(g, g.ways...).tags...), "kind", pick(g, "paid", "paid", "free"),
		"quota", pick(g, 1, 2, 3, 5, 12), "price", price,
		"delivered_at", g.timeText(deliveredAt))
	g.packages = append(g.packages, delivered{account, id, deliveredAt})
	if g.one(3) {
		g.refund()
	}
}

// refund asks for one around the 7th day, before the delivery, or at some other moment.
func (g *gen) refund() {
	p := pick(g, g.packages...)
	day := billing.DayOf(p.at, g.cat.Settings.Zone)
	at := g.zoneDay(day+8) + pick[billing.Instant](g, -1, 0, 0, -25*billing.Hour)
	if g.one(2) {
		at = g.instant()
	}
	if g.one(20) {
		p.id = "p9"
	}
	g.event("package.refunded", p.account, at, "package_id", p.id)
}

// contract draws one with tiers that few calls reach and prices that need rounding.
func (g *gen) contract(account string) {
	from := g.base + billing.Day(min(g.IntN(g.span+2), g.IntN(g.span+2))-2)
	tiers := []any{by("from_quantity", 0, "unit_price", pick(g, "1.005", "0.5", "0.125"))}
	bound := 0
	for range g.IntN(4) {
		bound += 1 + g.IntN(4)
		tiers = append(tiers, by("from_quantity", bound,
			"unit_price", pick(g, "0.8", "0.405", "0.1", "0.005", "0", "1.2")))
	}
	of := pick(g, g.ways[0], pick(g, g.ways...))
	pairs := []any{"tag", pick(g, of.tags...), "from", from.String(), "mode",
		pick(g, "volume", "graduated"), "tiers", tiers}
	if g.one(2) {
		pairs = append(pairs, "to", (from + 1 + billing.Day(g.IntN(g.span+1))).String())
	}
	at := g.instant()
	if g.one(2) {
		at = g.zoneDay(g.base - 1)
	}
	g.event("price.agreed", account, at, pairs...)
}

// spoil draws a record that cannot be used.
func (g *gen) spoil(account string) {
	at := g.instant()
	switch g.IntN(4) {
	case 0:
		g.add(false, by("type", "balance.topped_up", "account_id", account), at)
	case 1:
		g.add(true, by("call_id", "c001", "account_id", account), at)
	case 2: // beyond the tolerance, or just within
		g.add(true, by("call_id", "c001", "account_id", account, "result_code", "0",
			"action", "IdCardVerification", "occurred_at", g.timeText(at)),
			at-24*billing.Hour-pick[billing.Instant](g, 0, 1))
	case 3:
		g.event("balance.topped_up", account, at, "amount", "-1")
	}
}

// calls draws one call or some in a row.
func (g *gen) calls() {
	way := g.ways[min(g.IntN(len(g.ways)), g.IntN(len(g.ways)))]
	account := pick(g, g.mains...)
	switch g.IntN(12) {
	case 0, 1:
		account = pick(g, "sub1", "sub1", "sub2", "zinc")
	case 2, 3, 4, 5, 6:
		account = g.mains[0]
	}
	n := 1
	switch g.IntN(100) {
	case 0: // up to where no price is published
		n = 40 + g.IntN(40)
	case 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20:
		n += g.IntN(8)
	}
	at := g.instant()
	code := way.codes[min(g.IntN(len(way.codes)), g.IntN(len(way.codes)))]
	step := pick(g, billing.Second, 0, 24*billing.Hour)
	if n > 8 {
		step = billing.Minute
	}
	arrives := g.arrival(at)
	for i := range n {
		if g.one(4) { // another call competes for the same package, perhaps at the same instant
			way = pick(g, g.ways...)
			account = pick(g, account, "sub1")
		}
		fields := maps.Clone(way.fields)
		fields["call_id"] = fmt.Sprintf("c%03d", g.IntN(400))
		fields["account_id"], fields["result_code"] = account, code
		moment := at + billing.Instant(i)*step
		fields["occurred_at"] = g.timeText(moment)
		g.add(true, fields, arrives+billing.Instant(i)*step)
	}
}

// copies sends some calls again, with the same or another payload, before or after.
func (g *gen) copies() {
	for _, e := range g.world.entries {
		if !e.call || e.text("occurred_at") == "" || !g.one(8) {
			continue
		}
		fields := maps.Clone(e.fields)
		at := e.arrives
		switch g.IntN(5) {
		case 0:
			fields["result_code"] = pick(g, "0", "-2")
		case 1:
			fields["account_id"] = pick(g, append([]string{"sub1", "zinc"}, g.mains...)...)
		case 2:
			moment := g.instant()
			fields["occurred_at"], at = g.timeText(moment), max(at, moment)
		}
		g.add(true, fields, g.arrival(at))
	}
}

// voids take calls back, before a closing could take them or later.
func (g *gen) voids() {
	if !g.one(4) {
		return
	}
	for _, e := range g.world.entries {
		if !e.call || !g.one(8) {
			continue
		}
		at := e.arrives - pick[billing.Instant](g, 0, 0, billing.Hour, -billing.Hour,
			-billing.Instant(g.IntN(60))*24*billing.Hour)
		g.event("usage.voided", pick(g, e.text("account_id"), g.mains[0]), at,
			"call_ids", []string{e.text("call_id"), "c001"}, "reason", "r")
	}
}

// lowTiers is the FaceID catalogue with tier bounds that few calls reach.
func lowTiers(text string) string {
	lines := strings.Split(text, "\n")
	low := strings.NewReplacer(" 1000: ", " 3: ", " 10000: ", " 10: ", " 100000: ", " 30: ",
		" 200000: ", " 60: ")
	for i, l := range lines {
		if strings.Contains(l, "tiers: {0:") {
			lines[i] = low.Replace(l)
		}
	}
	return strings.Join(lines, "\n")
}
