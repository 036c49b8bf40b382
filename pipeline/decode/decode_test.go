package decode_test

import (
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/catalog"
	"tollstream/pipeline/decode"
	"tollstream/schemas"
)

func faceid(t testing.TB) *catalog.Catalog {
	t.Helper()
	cat, err := catalog.Parse("faceid/catalog.yaml", schemas.FaceIDCatalog())
	if err != nil {
		t.Fatal(err)
	}
	return cat
}

var arrived = mustInstant("2023-02-02T09:00:00+08:00")

func mustInstant(s string) billing.Instant {
	at, err := billing.ParseInstant(s)
	if err != nil {
		panic(err)
	}
	return at
}

const goodCall = `{"call_id":"a","account_id":"acme","occurred_at":"2023-02-02T08:00:00.123456789` +
	`+08:00","channel":"eid","intention":true,"result_code":"0","need_charge":null,"x":{"y":[1]},` +
	`"sdk":{"platform":"android","version":"v4.5.4"}}`

func TestGoodCall(t *testing.T) {
	rec, refusal := decode.NewCalls(faceid(t)).Decode([]byte(goodCall),
		billing.Arrival{Appended: arrived})
	if refusal != nil {
		t.Fatal(refusal)
	}
	if got := rec.OccurredAt.String(); got != "2023-02-02T00:00:00.123456Z" {
		t.Errorf("occurred_at is cut to the microsecond (B1), got %s", got)
	}
	if rec.Dims[0] != "eid" || rec.NeedCharge != "" || rec.SDK.Platform != "android" {
		t.Errorf("got %+v", rec)
	}
}

// One row is one mistake: what is replaced in a good call, by what, and the reason.
func TestBadCalls(t *testing.T) {
	calls := decode.NewCalls(faceid(t))
	for _, c := range []struct {
		old, new string
		want     billing.Reason
	}{
		{`{"call_id"`, `{call_id`, billing.NotJSON},
		{goodCall, `[` + goodCall + `]`, billing.NotAnObject},
		{goodCall, goodCall + goodCall, billing.NotJSON},
		{goodCall, "\x00\x00\x00\x00\x07abc", billing.ConfluentFramed},
		{goodCall, strings.Repeat("x", 2<<20), billing.RecordTooLarge},
		{goodCall, strings.Repeat("[", 100_000), billing.NotJSON},
		{`"call_id":"a"`, `"call_id":"a","call_id":"b"`, billing.DuplicateKey},
		{`"call_id":"a"`, `"call_id":"\ud800"`, billing.NotJSON},
		{`"call_id":"a"`, "\"call_id\":\"\xff\"", billing.NotJSON},
		{`"call_id":"a"`, `"call_id":""`, billing.FieldValue},
		{`"call_id":"a"`, `"call_id":null`, billing.FieldMissing},
		{`"call_id":"a"`, `"call_id":7`, billing.FieldType},
		{`"call_id":"a"`, `"call_id":"` + strings.Repeat("好", 129) + `"`, billing.FieldTooLong},
		{`"account_id":"acme"`, `"account_id":"` + strings.Repeat("a", 65) + `"`, billing.FieldTooLong},
		{`2023-02-02T08:00:00.123456789+08:00`, `2023-02-02T08:00:00`, billing.FieldValue},
		{`2023-02-02T08:00:00.123456789+08:00`, `2023-02-30T08:00:00Z`, billing.FieldValue},
		{`2023-02-02T08:00:00.123456789+08:00`, `2017-12-31T23:59:59+08:00`, billing.TimeOutOfRange},
		{`2023-02-02T08:00:00.123456789+08:00`, `2023-02-03T09:00:00.000001+08:00`, billing.TimeOutOfRange},
		{`"intention":true`, `"intention":"true"`, billing.FieldType},
		{`"intention":true`, `"edition":"gold"`, billing.FieldValue},
		{`"intention":true`, `"compare_source":"guess"`, billing.FieldValue},
		{`"channel":"eid",`, ``, billing.FieldMissing},
		{`"channel":"eid"`, `"channel":5`, billing.FieldType},
		{`"sdk":{"platform":"android"`, `"sdk":{"platform":4`, billing.FieldType},
		{`"result_code":"0"`, `"result_code":0`, billing.FieldType},
	} {
		bad := strings.Replace(goodCall, c.old, c.new, 1)
		if bad == goodCall {
			t.Fatalf("%q is not in the good call", c.old)
		}
		_, refusal := calls.Decode([]byte(bad), billing.Arrival{Appended: arrived})
		if refusal == nil || refusal.Reason != c.want {
			t.Errorf("%.80s: got %v, want %s", c.new, refusal, c.want)
		}
	}
}

func TestBoundsAreInclusive(t *testing.T) {
	calls := decode.NewCalls(faceid(t))
	for _, at := range []string{"2018-01-01T00:00:00+08:00", "2023-02-03T09:00:00+08:00"} {
		value := strings.Replace(goodCall, "2023-02-02T08:00:00.123456789+08:00", at, 1)
		_, refusal := calls.Decode([]byte(value), billing.Arrival{Appended: arrived})
		if refusal != nil {
			t.Errorf("%s: %v", at, refusal)
		}
	}
}

func event(kind, fields string) string {
	return `{"event_id":"e","type":"` + kind + `","account_id":"acme",` +
		`"effective_at":"2023-02-02T08:00:00+08:00"` + fields + `}`
}

const delivered = `,"package_id":"p","tag":"idcard","kind":"paid","quota":1000,"price":"300",` +
	`"delivered_at":"2023-02-02T08:00:00+08:00"`

const agreed = `,"tag":"idcard","from":"2023-02-01","mode":"volume",` +
	`"tiers":[{"from_quantity":0,"unit_price":"0.3"},{"from_quantity":10,"unit_price":"0.2"}]`

func TestEvents(t *testing.T) {
	events := decode.NewEvents(faceid(t))
	for _, c := range []struct {
		value string
		want  billing.Reason
	}{
		{event("account.opened", `,"opened_at":"2021-01-01T00:00:00+08:00"`), ""},
		{event("account.opened", ``), billing.FieldMissing},
		{event("account.sold", ``), billing.UnknownEventType},
		{event("balance.topped_up", `,"amount":"12.50"`), ""},
		{event("balance.topped_up", `,"amount":12.50`), billing.FieldType},
		{event("balance.topped_up", `,"amount":"NaN"`), billing.FieldValue},
		{event("balance.topped_up", `,"amount":"1e3"`), billing.FieldValue},
		{event("balance.topped_up", `,"amount":"+1"`), billing.FieldValue},
		{event("balance.topped_up", `,"amount":"0"`), billing.FieldValue},
		{event("balance.topped_up", `,"amount":"-1"`), billing.FieldValue},
		{event("balance.topped_up", `,"amount":"0.001"`), billing.FieldValue},
		{event("balance.topped_up", `,"amount":"1`+strings.Repeat("0", 30)+`"`), billing.FieldValue},
		{event("balance.adjusted", `,"amount":"-1","reason":"r"`), ""},
		{event("balance.adjusted", `,"amount":"0.00","reason":"r"`), billing.FieldValue},
		{event("balance.adjusted", `,"amount":"1"`), billing.FieldMissing},
		{event("catalog.corrected", `,"from":"2023-01-01","reason":"r"`), ""},
		{event("catalog.corrected", `,"from":"2023-02-30","reason":"r"`), billing.FieldValue},
		{event("catalog.corrected", `,"from":"2023-02-01","to":"2023-02-01","reason":"r"`),
			billing.FieldValue},
		{event("package.delivered", delivered), ""},
		{event("package.delivered", strings.Replace(delivered, "1000", "0", 1)), billing.FieldValue},
		{event("package.delivered", strings.Replace(delivered, "1000", "-5", 1)), billing.FieldValue},
		{event("package.delivered", strings.Replace(delivered, "1000", "1e30", 1)), billing.FieldValue},
		{event("package.delivered", strings.Replace(delivered, "1000", "10.5", 1)), billing.FieldValue},
		{event("package.delivered", strings.Replace(delivered, "1000", `"10"`, 1)), billing.FieldType},
		{event("package.delivered", strings.Replace(delivered, "paid", "lent", 1)), billing.FieldValue},
		{event("package.delivered", strings.Replace(delivered, `"300"`, `"-1"`, 1)), billing.FieldValue},
		{event("price.agreed", agreed), ""},
		{event("price.agreed", agreed+`,"to":"2023-02-01"`), billing.FieldValue},
		{event("price.agreed", strings.Replace(agreed, "2023-02-01", "2023-02-30", 1)),
			billing.FieldValue},
		{event("price.agreed", strings.Replace(agreed, `"from_quantity":0`, `"from_quantity":1`, 1)),
			billing.TiersRefused},
		{event("price.agreed", strings.Replace(agreed, `"from_quantity":10`, `"from_quantity":0`, 1)),
			billing.TiersRefused},
		{event("price.agreed", strings.Replace(agreed, `"0.2"`, `0.2`, 1)), billing.FieldType},
		{event("usage.voided", `,"call_ids":["a","b"],"reason":"r"`), ""},
		{event("usage.voided", `,"call_ids":[],"reason":"r"`), billing.FieldValue},
		{event("usage.voided", `,"call_ids":[1],"reason":"r"`), billing.FieldValue},
		{event("postpaid.disabled", ``), ""},
		{event("account.closed", ``), ""},
	} {
		_, refusal := events.Decode([]byte(c.value), billing.Arrival{Appended: arrived})
		got := billing.Reason("")
		if refusal != nil {
			got = refusal.Reason
		}
		if got != c.want {
			t.Errorf("%s\n got %v\nwant %s", c.value, refusal, c.want)
		}
	}
}

// TestDetailsAreShort: what is said about a record is much smaller than the record can be.
func TestDetailsAreShort(t *testing.T) {
	name := strings.Repeat("n", 500_000)
	calls := decode.NewCalls(faceid(t))
	for _, value := range []string{`{"` + name + `":1,"` + name + `":2}`, `{"` + name + `":{"a":x}}`,
		`{"call_id":"` + name + `"}`, name, `{"intention":` + strings.Repeat("[", 20_000)} {
		_, refusal := calls.Decode([]byte(value), billing.Arrival{Appended: arrived})
		if refusal == nil || len(refusal.Detail) > 2000 || !utf8.ValidString(refusal.Detail) {
			t.Errorf("%.20s...: %.200v", value, refusal)
		}
	}
}

func FuzzCall(f *testing.F) {
	f.Add([]byte(goodCall))
	f.Add([]byte(`{"call_id":"\u0000"}`))
	f.Add([]byte(`{"call_id":"a","account_id":"1","sdk":{"name":"x","name":"y"}}`))
	calls := decode.NewCalls(faceid(f))
	reader := calls.Reader()
	f.Fuzz(func(t *testing.T, value []byte) {
		rec, refusal := calls.Decode(value, billing.Arrival{Appended: arrived})
		for range 2 { // it remembers what it has read
			second, again := reader.Decode(string(value), billing.Arrival{Appended: arrived})
			if !reflect.DeepEqual(rec, second) || !reflect.DeepEqual(refusal, again) {
				t.Errorf("%q: %+v %v, by a Reader %+v %v", value, rec, refusal, second, again)
			}
		}
		if refusal == nil && (rec.CallID == "" || rec.AccountID == "") {
			t.Errorf("accepted without an id: %q", value)
		}
		if refusal != nil && refusal.Reason.Hint() == "" {
			t.Errorf("refused without a hint: %v", refusal)
		}
	})
}

func FuzzEvent(f *testing.F) {
	for _, seed := range []string{event("package.delivered", delivered),
		event("price.agreed", agreed), event("balance.topped_up", `,"amount":"1"`), event("usage.voided", `,"call_ids":["a"]`)} {
		f.Add([]byte(seed))
	}
	events := decode.NewEvents(faceid(f))
	f.Fuzz(func(t *testing.T, value []byte) {
		ev, refusal := events.Decode(value, billing.Arrival{Appended: arrived})
		if refusal == nil && ev.Type == billing.PackageDelivered && ev.Quota < 1 {
			t.Errorf("accepted a package of %d calls: %q", ev.Quota, value)
		}
	})
}

// BenchmarkCall is the cost of a record, in memory of its own and in a Reader's.
func BenchmarkCall(b *testing.B) {
	calls, value := decode.NewCalls(faceid(b)), (`{"call_id":"0f8e6f3c-52b1-4c0e-9c39-` +
		`5d2ab1c5a7d1","account_id":"1300000002","occurred_at":"2023-02-02T08:00:00.123+08:00",` +
		`"channel":"app_sdk","compare_source":"self_photo","edition":"plus","result_code":"0",` +
		`"need_charge":true,"sdk":{"platform":"android","version":"v4.5.4"}}`)
	reader, at := calls.Reader(), billing.Arrival{Appended: arrived}
	for name, read := range map[string]func() (billing.CallRecord, *billing.Refusal){
		"alone": func() (billing.CallRecord, *billing.Refusal) {
			return calls.Decode([]byte(value), at)
		},
		"reader": func() (billing.CallRecord, *billing.Refusal) { return reader.Decode(value, at) },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, refusal := read(); refusal != nil {
					b.Fatal(refusal)
				}
			}
		})
	}
}
