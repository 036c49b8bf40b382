package props

import (
	"cmp"
	"encoding/json"
	"maps"
	"math/rand/v2"
	"slices"

	"tollstream/pipeline/batch"
	"tollstream/pipeline/billing"
	"tollstream/pipeline/catalog"
	"tollstream/pipeline/naive"
)

// entry is one input record of a world, kept as fields so that it can be shrunk and told.
type entry struct {
	call    bool
	fields  map[string]any
	arrives billing.Instant
}

// text is a string field of the entry, "" where it has none.
func (e *entry) text(name string) string {
	s, _ := e.fields[name].(string)
	return s
}

// World is an input of the pipeline: records, in no order but that of ties, and where to stop.
type World struct {
	entries []entry
	Until   billing.Instant
}

// clone copies a world deeply enough for a law to change it.
func (w World) clone() World {
	c := World{entries: slices.Clone(w.entries), Until: w.Until}
	for i := range c.entries {
		c.entries[i].fields = maps.Clone(c.entries[i].fields)
	}
	return c
}

// The topics of the two kinds of records, in the order in which ties between them are read.
const (
	EventTopic = "billing.account-events"
	CallTopic  = "faceid.calls"
)

// Records puts the entries into arrival order: time, then events before calls, then their order in
// the world; the offset is the place in that order (as in `tollstream bill`).
func (w World) Records() []batch.Record {
	list := make([]batch.Record, len(w.entries))
	for i, e := range w.entries {
		list[i] = batch.Record{Kind: batch.EventRecord, Value: e.bytes(),
			Arrival: billing.Arrival{Appended: e.arrives, Topic: EventTopic}}
		if e.call {
			list[i].Kind, list[i].Arrival.Topic = batch.CallRecord, CallTopic
		}
	}
	slices.SortStableFunc(list, func(a, b batch.Record) int {
		return cmp.Or(cmp.Compare(a.Arrival.Appended, b.Arrival.Appended),
			cmp.Compare(a.Kind, b.Kind))
	})
	for i := range list {
		list[i].Arrival.Offset = int64(i)
	}
	return list
}

func (e *entry) bytes() []byte {
	value, err := json.Marshal(e.fields)
	if err != nil {
		panic(err) // fields are made of strings, numbers, booleans and lists of them
	}
	return value
}

// NaiveRecords gives records to the naive biller.
func NaiveRecords(records []batch.Record) []naive.Record {
	list := make([]naive.Record, len(records))
	for i, r := range records {
		list[i] = naive.Record{IsCall: r.Kind == batch.CallRecord, Value: r.Value,
			Arrival: r.Arrival}
	}
	return list
}

// way is one way to make calls, with the tags that packages and contracts for them may name.
type way struct {
	fields map[string]any
	codes  []string
	tags   []string
}

func by(pairs ...any) map[string]any {
	m := map[string]any{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i].(string)] = pairs[i+1]
	}
	return m
}

// ways are chosen so that every kind of tag, code table and reach of a package comes up. The ways
// at the end have no tag, or are free, for all or some cohorts.
var ways = []way{
	{by("action", "IdCardVerification"), []string{"0", "-1", "-2"},
		[]string{"idcard", "身份信息核验"}},
	{by("action", "BankCardVerification"), []string{"0", "-5"}, []string{"bankcard"}},
	{by("channel", "wechat_native_h5", "compare_source", "authority"), []string{"0", "2007"},
		[]string{"legacy_liveness_authority", "enh_auth_wechat", "增强版人脸核身（权威库）-微信"}},
	{by("channel", "wechat_native_h5", "compare_source", "self_photo", "edition", "plus"),
		[]string{"0", "1002"}, []string{"legacy_liveness_selfphoto", "enh_self_wechat"}},
	{by("channel", "mobile_h5", "compare_source", "authority"), []string{"0", "66660004"},
		[]string{"legacy_liveness_authority", "basic_auth"}},
	{by("action", "ImageRecognition"), []string{"Success", "FailedOperation.CompareFail"},
		[]string{"legacy_photo_authority", "basic_auth"}},
	{by("action", "CheckPhoneAndName"), []string{"0", "1"}, []string{"phone", "phone2"}},
	{by("action", "PhoneVerification"), []string{"0", "-5"}, []string{"phone", "phone3"}},
	{by("channel", "eid"), []string{"0", "2006"}, []string{"eid"}},
	{by("channel", "eid", "intention", true), []string{"0", "2007"},
		[]string{"intention_auth", "eid"}},
	{by("channel", "enhanced_app_sdk", "compare_source", "self_photo"), []string{"0", "66660010"},
		[]string{"enh_self_app"}},
	{by("action", "PhoneVerificationCMCC"), []string{"0"}, []string{"phone", "phone3_cmcc"}},
	{by("channel", "overlay_h5", "compare_source", "authority"), []string{"0"},
		[]string{"enh_auth_overlay_h5"}},
	{by("channel", "nfc"), []string{"0"}, []string{"nfc"}},
	{by("action", "DetectAuth"), []string{"0"}, []string{"idcard"}},
	{by("channel", "wechat_native_h5"), []string{"0"}, []string{"enh_auth_wechat"}},
	{by("channel", "teleport", "action", "IdCardVerification"), []string{"0"},
		[]string{"no_such_tag"}},
}

// taggedWays is how many of them come before those that mostly have no tag.
const taggedWays = 11

// anchors are the days around which something changes, each with the reason.
var anchors = []string{
	"2020-02-27", // 29 February
	"2020-12-29", // refunds since 2020-12-31
	"2021-01-29", // discount and other prices in February 2021
	"2021-02-26", // their end; packages of 29 February 2020 end
	"2021-06-20", // cohort B, prepaid tags of cohort A
	"2021-07-17", // codes of face_wechat
	"2021-12-30", // phone tags split
	"2022-03-07", // codes of PhoneVerification
	"2023-01-02", // cohort C
	"2023-02-10", // nothing
	"2024-02-27", // 29 February
	"2025-02-26", // packages of 29 February 2024 end
}

// gen draws one world.
type gen struct {
	*rand.Rand
	cat      *catalog.Catalog
	base     billing.Day
	span     int
	slow     bool // records may be late by months
	used     []billing.Instant
	ways     []way
	mains    []string
	packages []delivered
	events   int
	world    World
}

// delivered is what refunds need to know of a package.
type delivered struct {
	account, id string
	at          billing.Instant
}

// NewWorld draws the world of a seed.
func NewWorld(cat *catalog.Catalog, seed uint64) World {
	g := &gen{Rand: rand.New(rand.NewPCG(seed, 20261121)), cat: cat}
	day, err := billing.ParseDay(pick(g, anchors...))
	if err != nil {
		panic(err)
	}
	g.base, g.span, g.slow = day, 2+g.IntN(pick(g, 4, 9, 40)), g.IntN(4) == 0
	for range 1 + g.IntN(3) {
		from := pick(g, ways[:taggedWays], ways[:taggedWays], ways[:taggedWays], ways)
		g.ways = append(g.ways, pick(g, from...))
	}
	g.mains = []string{"acme", "bolt", "coil"}[:1+g.IntN(3)]
	for _, id := range g.mains {
		g.account(id)
	}
	for range 3 + g.IntN(pick(g, 8, 20, 40)) {
		g.calls()
	}
	g.copies()
	g.voids()
	g.finish()
	return g.world
}

func pick[T any](g *gen, list ...T) T { return list[g.IntN(len(list))] }

// one tells, once in n times, yes.
func (g *gen) one(n int) bool { return g.IntN(n) == 0 }

func (g *gen) zoneDay(d billing.Day) billing.Instant { return d.Start(g.cat.Settings.Zone) }

// instant draws a moment of the world, with a liking for ties, limits and what lies beside them.
func (g *gen) instant() billing.Instant {
	at := g.zoneDay(g.base + billing.Day(g.IntN(g.span)))
	clock := []billing.Instant{0, 8 * billing.Hour, 8*billing.Hour - 1, 24*billing.Hour - 1,
		billing.Instant(g.IntN(24)) * billing.Hour, billing.Instant(g.IntN(86400)) * billing.Second}
	at += pick(g, clock...)
	if len(g.used) > 0 {
		old := pick(g, g.used...)
		switch g.IntN(12) {
		case 0, 1:
			at = old
		case 2:
			at = old + 24*billing.Hour
		case 3:
			at = old + pick[billing.Instant](g, -1, 1)
		}
	}
	g.used = append(g.used, at)
	return at
}

// arrival draws when a record of that time arrives: at once, late by minutes to months, exactly at
// a barrier, or ahead of its time.
func (g *gen) arrival(at billing.Instant) billing.Instant {
	switch g.IntN(20) {
	case 0, 1:
		return at + billing.Instant(g.IntN(120))*billing.Minute
	case 2:
		return at + billing.Instant(g.IntN(30))*billing.Hour
	case 3, 4:
		return g.zoneDay(billing.DayOf(at, g.cat.Settings.Zone)+billing.Day(g.IntN(3))) +
			32*billing.Hour + pick[billing.Instant](g, 0, 0, -1, 1)
	case 5:
		return at + billing.Instant(g.IntN(10))*24*billing.Hour
	case 6:
		if g.slow {
			return at + billing.Instant(20+g.IntN(60))*24*billing.Hour
		}
	case 7:
		return at - billing.Instant(g.IntN(25))*billing.Hour
	}
	return at
}

func (g *gen) timeText(at billing.Instant) string { return at.In(g.cat.Settings.Zone) }

func (g *gen) add(call bool, fields map[string]any, arrives billing.Instant) {
	g.world.entries = append(g.world.entries, entry{call: call, fields: fields, arrives: arrives})
}

// finish draws where the world stops, mostly after the month of the last record has closed, and in
// which order the records of one instant are.
func (g *gen) finish() {
	last := g.zoneDay(g.base)
	for _, e := range g.world.entries {
		last = max(last, e.arrives)
	}
	month := billing.DayOf(last, g.cat.Settings.Zone).Month()
	g.world.Until = g.zoneDay((month + 1).FirstDay()) + 8*billing.Hour
	switch g.IntN(6) {
	case 0:
		g.world.Until = g.zoneDay(g.base+billing.Day(g.IntN(g.span))) + 8*billing.Hour
	case 1:
		g.world.Until = last
	case 2:
		g.world.Until = g.instant()
	}
	g.Shuffle(len(g.world.entries), func(i, j int) {
		list := g.world.entries
		list[i], list[j] = list[j], list[i]
	})
}
