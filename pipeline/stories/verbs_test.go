package stories

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"tollstream/pipeline/batch"
	"tollstream/pipeline/billing"
	"tollstream/pipeline/closing/closingtest"
)

type verb = func(ts *testscript.TestScript, neg bool, args []string)

// tellers are the verbs that tell what happened; show and explain ask what came of it.
var tellers = map[string]func(*story, *line){
	"open": open, "sub": sub, "pay": pay, "adjust": adjust, "buy": buy, "gift": gift,
	"refund": refund, "postpaid": postpaid, "agree": agree, "call": call, "raw": raw, "end": end,
	"void": void, "correct": correct, "catalog": changeCatalog, "requeue": requeue,
	"advance": advance, "close": closeUntil,
}

func verbs() map[string]verb {
	cmds := map[string]verb{}
	add := func(name string, do func(*story, *line)) {
		cmds[name] = func(ts *testscript.TestScript, neg bool, args []string) {
			if neg {
				ts.Fatalf("%s cannot be negated", name)
			}
			do(ts.Value(storyKey{}).(*story), parseLine(ts, name, args))
		}
	}
	for name, do := range tellers {
		add(name, do)
	}
	add("show", show)
	add("explain", explain)
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
	value, err := json.Marshal(fields)
	l.ts.Check(err)
	s.add(batch.EventRecord, s.arrival(l, l.instant(at)), value)
}

// arrival is when a record of a time arrives: when the line says so, else at once, which is never
// before the story's clock.
func (s *story) arrival(l *line, at billing.Instant) billing.Instant {
	told := l.opts["arrives"]
	if told == "" {
		return max(at, s.clock)
	}
	arrives := l.instant(told)
	if arrives < s.clock {
		l.ts.Fatalf("%s: nothing arrives at %s any more, it is %s", l.verb, told,
			s.time(s.clock))
	}
	return arrives
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
	at := l.word(5, "time")
	s.event(l, at, map[string]any{
		"type": "package.delivered", "package_id": l.word(1, "package"), "tag": l.word(2, "tag"),
		"kind": kind, "quota": json.Number(l.word(3, "quota")), "price": l.word(4, "price"),
		"delivered_at": l.moment(cmp.Or(l.opts["delivered"], at))})
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

// correct ACCOUNT FROM TO TIME [TAG]: what was billed of those days is priced anew; TO - is open.
func correct(s *story, l *line) {
	fields := map[string]any{"type": "catalog.corrected", "from": l.word(1, "from"),
		"reason": "story"}
	if to := l.word(2, "to"); to != "-" {
		fields["to"] = to
	}
	if len(l.words) > 4 {
		fields["tag"] = l.words[4]
	}
	s.event(l, l.word(3, "time"), fields)
}

// catalog TIME WAS IS: from TIME on the catalogue has the text of file IS where it had that of WAS.
func changeCatalog(s *story, l *line) {
	was, is := l.ts.ReadFile(l.word(1, "file")), l.ts.ReadFile(l.word(2, "second file"))
	l.ts.Check(s.loadCatalog(l.instant(l.word(0, "time")), []byte(was), []byte(is)))
}

// requeue TIME REASON sends again what is in quarantine for a reason.
func requeue(s *story, l *line) {
	s.advance(l, l.instant(l.word(0, "time")))
	n, err := s.requeue(s.clock, billing.Reason(l.word(1, "reason")))
	l.ts.Check(err)
	if n == 0 {
		l.ts.Fatalf("requeue: nothing is in quarantine as %s", l.words[1])
	}
}

// advance TIME moves the clock: what is told from here on arrives then at the earliest.
func advance(s *story, l *line) { s.advance(l, l.instant(l.word(0, "time"))) }

func (s *story) advance(l *line, to billing.Instant) {
	if to < s.clock {
		l.ts.Fatalf("%s: it is %s already", l.verb, s.time(s.clock))
	}
	s.clock = to
}

// close TIME moves the clock and runs every closing up to and including that time.
func closeUntil(s *story, l *line) {
	s.advance(l, l.instant(l.word(0, "time")))
	out, err := s.run(s.clock)
	l.ts.Check(err)
	s.out = out
	l.ts.Check(closingtest.CheckBills(out.Bills))
}
