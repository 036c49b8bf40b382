package stories

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"tollstream/pipeline/batch"
	"tollstream/pipeline/billing"
	"tollstream/pipeline/catalog"
	"tollstream/pipeline/closing/closingtest"
)

type storyKey struct{}

// story gathers the records that a script tells of, until `close` runs the pipeline over them.
type story struct {
	cat     *catalog.Catalog
	records []batch.Record
	events  int
	calls   int
	out     *batch.Output
}

func newStory(cat *catalog.Catalog) *story { return &story{cat: cat} }

type verb = func(ts *testscript.TestScript, neg bool, args []string)

func verbs() map[string]verb {
	all := map[string]func(*story, *line){
		"open": open, "sub": sub, "pay": pay, "adjust": adjust, "buy": buy, "gift": gift,
		"refund": refund, "postpaid": postpaid, "agree": agree, "call": call, "raw": raw,
		"end": end, "void": void, "close": closeUntil,
	}
	cmds := map[string]verb{"show": show, "explain": explain}
	for name, do := range all {
		cmds[name] = func(ts *testscript.TestScript, neg bool, args []string) {
			if neg {
				ts.Fatalf("%s cannot be negated", name)
			}
			do(ts.Value(storyKey{}).(*story), parseLine(ts, name, args))
		}
	}
	return cmds
}

// line is one line of a story: words, and options of the form name=value.
type line struct {
	ts    *testscript.TestScript
	verb  string
	words []string
	opts  map[string]string
}

func parseLine(ts *testscript.TestScript, verb string, args []string) *line {
	l := &line{ts: ts, verb: verb, opts: map[string]string{}}
	for _, a := range args {
		if name, value, ok := strings.Cut(a, "="); ok {
			l.opts[name] = value
		} else {
			l.words = append(l.words, a)
		}
	}
	return l
}

func (l *line) word(i int, what string) string {
	if i >= len(l.words) {
		l.ts.Fatalf("%s: %s is missing", l.verb, what)
	}
	return l.words[i]
}

// moment reads 2021-09-01, 2021-09-01T14:30 or 2021-09-01T14:30:05.5, Shanghai time.
func (l *line) moment(s string) string {
	for _, layout := range []string{"2006-01-02T15:04:05.999999", "2006-01-02T15:04", "2006-01-02"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.Format("2006-01-02T15:04:05.999999") + "+08:00"
		}
	}
	l.ts.Fatalf("%s: %q is not a time such as 2021-09-01T14:30", l.verb, s)
	return ""
}

func (l *line) instant(s string) billing.Instant {
	at, err := billing.ParseInstant(l.moment(s))
	l.ts.Check(err)
	return at
}

func (s *story) event(l *line, at string, fields map[string]any) {
	s.events++
	fields["event_id"] = cmp.Or(l.opts["event"], fmt.Sprintf("e%d", s.events))
	fields["account_id"] = l.word(0, "account")
	fields["effective_at"] = l.moment(at)
	s.add(l, batch.EventRecord, cmp.Or(l.opts["arrives"], at), fields)
}

func (s *story) add(l *line, kind batch.Kind, arrives string, fields map[string]any) {
	value, err := json.Marshal(fields)
	l.ts.Check(err)
	s.records = append(s.records, batch.Record{Kind: kind, Value: value,
		Arrival: billing.Arrival{Appended: l.instant(arrives), Topic: topics[kind]}})
}

var topics = [...]string{
	batch.EventRecord: "billing.account-events", batch.CallRecord: "faceid.calls",
}

func open(s *story, l *line) {
	opened := l.word(1, "date of opening")
	at := cmp.Or(l.opts["at"], opened)
	s.event(l, at, map[string]any{"type": "account.opened", "opened_at": l.moment(opened)})
}

func sub(s *story, l *line) {
	s.event(l, l.word(2, "time"), map[string]any{
		"type": "sub_account.added", "sub_account_id": l.word(1, "sub-account")})
}

func pay(s *story, l *line) {
	s.event(l, l.word(2, "time"), map[string]any{
		"type": "balance.topped_up", "amount": l.word(1, "amount")})
}

func adjust(s *story, l *line) {
	s.event(l, l.word(2, "time"), map[string]any{
		"type": "balance.adjusted", "amount": l.word(1, "amount"), "reason": "story"})
}

func buy(s *story, l *line)  { deliver(s, l, "paid") }
func gift(s *story, l *line) { deliver(s, l, "free") }

func deliver(s *story, l *line, kind string) {
	quota, err := strconv.ParseInt(l.word(3, "quota"), 10, 64)
	l.ts.Check(err)
	at := l.word(5, "time")
	s.event(l, at, map[string]any{
		"type": "package.delivered", "package_id": l.word(1, "package"), "tag": l.word(2, "tag"),
		"kind": kind, "quota": quota, "price": l.word(4, "price"), "delivered_at": l.moment(at)})
}

// void ACCOUNT TIME CALL...: usage.voided names call ids.
func void(s *story, l *line) {
	s.event(l, l.word(1, "time"), map[string]any{
		"type": "usage.voided", "call_ids": l.words[2:], "reason": "story"})
}

func refund(s *story, l *line) {
	s.event(l, l.word(2, "time"), map[string]any{
		"type": "package.refunded", "package_id": l.word(1, "package")})
}

func postpaid(s *story, l *line) {
	kind := map[string]string{"off": "postpaid.disabled", "on": "postpaid.enabled"}
	s.event(l, l.word(2, "time"), map[string]any{"type": kind[l.word(1, "off or on")]})
}

func end(s *story, l *line) {
	s.event(l, l.word(1, "time"), map[string]any{"type": "account.closed"})
}

// agree ACCOUNT TAG volume|graduated FROM TO TIME 0:1.01 10:0.5 ...; TO - is open.
func agree(s *story, l *line) {
	fields := map[string]any{"type": "price.agreed", "tag": l.word(1, "tag"),
		"mode": l.word(2, "mode"), "from": l.word(3, "from")}
	if to := l.word(4, "to"); to != "-" {
		fields["to"] = to
	}
	var tiers []map[string]any
	for _, w := range l.words[6:] {
		from, price, _ := strings.Cut(w, ":")
		n, err := strconv.ParseInt(from, 10, 64)
		l.ts.Check(err)
		tiers = append(tiers, map[string]any{"from_quantity": n, "unit_price": price})
	}
	fields["tiers"] = tiers
	s.event(l, l.word(5, "time"), fields)
}

// call ACCOUNT COUNT TIME name=value ... [every=1s] [arrives=TIME] [id=PREFIX]
func call(s *story, l *line) {
	n, err := strconv.Atoi(strings.TrimPrefix(l.word(1, "count"), "x"))
	l.ts.Check(err)
	every, err := time.ParseDuration(cmp.Or(l.opts["every"], "1s"))
	l.ts.Check(err)
	first := l.instant(l.word(2, "time"))
	for i := range n {
		s.calls++
		at := first + billing.Instant(i)*billing.Instant(every.Microseconds())
		fields := map[string]any{
			"call_id":     fmt.Sprintf("%s%d", cmp.Or(l.opts["id"], "c"), s.calls),
			"account_id":  l.word(0, "account"),
			"occurred_at": at.In(s.cat.Settings.Zone), "result_code": cmp.Or(l.opts["code"], "0"),
		}
		if id := l.opts["same"]; id != "" {
			fields["call_id"] = id
		}
		for name, value := range l.opts {
			switch name {
			case "every", "arrives", "id", "code", "same":
			case "intention":
				fields[name] = value == "true"
			default:
				fields[name] = value
			}
		}
		arrives := l.opts["arrives"]
		if arrives == "" {
			arrives = strings.TrimSuffix(at.In(s.cat.Settings.Zone), "+08:00")
		}
		s.add(l, batch.CallRecord, arrives, fields)
	}
}

// raw call|event TIME TEXT: a record as it is, for what cannot be decoded.
func raw(s *story, l *line) {
	kind := batch.CallRecord
	if l.word(0, "call or event") == "event" {
		kind = batch.EventRecord
	}
	s.records = append(s.records, batch.Record{Kind: kind,
		Value:   []byte(strings.Join(l.words[2:], " ")),
		Arrival: billing.Arrival{Appended: l.instant(l.word(1, "time")), Topic: topics[kind]}})
}

// close TIME runs every closing up to and including that time.
func closeUntil(s *story, l *line) {
	slices.SortStableFunc(s.records, func(a, b batch.Record) int {
		return cmp.Or(cmp.Compare(a.Arrival.Appended, b.Arrival.Appended), cmp.Compare(a.Kind, b.Kind))
	})
	for i := range s.records {
		s.records[i].Arrival.Offset = int64(i)
	}
	out, err := batch.Run(s.cat, s.records, l.instant(l.word(0, "time")), nil)
	l.ts.Check(err)
	s.out = out
	l.ts.Check(closingtest.CheckBills(out.Bills))
}
