package topics_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"tollstream/pipeline/batch"
	"tollstream/pipeline/billing"
	"tollstream/pipeline/canonical"
	"tollstream/pipeline/catalog"
	"tollstream/pipeline/decode"
	"tollstream/pipeline/generate"
	"tollstream/schemas"
	"tollstream/schemas/topics"
)

const (
	callsTopic  = "faceid.calls"
	eventsTopic = "billing.account-events"
)

// arrival is when the examples arrive.
var arrival = billing.Arrival{Appended: mustInstant("2023-01-05T09:00:00+08:00")}

func mustInstant(s string) billing.Instant {
	at, err := billing.ParseInstant(s)
	if err != nil {
		panic(err)
	}
	return at
}

func faceID(t testing.TB) *catalog.Catalog {
	t.Helper()
	cat, err := catalog.Parse("faceid/catalog.yaml", schemas.FaceIDCatalog())
	if err != nil {
		t.Fatal(err)
	}
	return cat
}

func compile(t testing.TB, topic string) *jsonschema.Schema {
	t.Helper()
	text, err := topics.Schema(topic)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource(topic, doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile(topic)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// valid tells whether a schema accepts a record, which is JSON.
func valid(t testing.TB, s *jsonschema.Schema, value []byte) error {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(value))
	if err != nil {
		t.Fatalf("%s: %v", value, err)
	}
	return s.Validate(doc)
}

// decoder gives what pipeline/decode says of a record of an input topic.
func decoder(t testing.TB, topic string) func([]byte, billing.Arrival) *billing.Refusal {
	t.Helper()
	cat := faceID(t)
	calls, events := decode.NewCalls(cat), decode.NewEvents(cat)
	switch topic {
	case callsTopic:
		return func(v []byte, at billing.Arrival) *billing.Refusal {
			_, refusal := calls.Decode(v, at)
			return refusal
		}
	case eventsTopic:
		return func(v []byte, at billing.Arrival) *billing.Refusal {
			_, refusal := events.Decode(v, at)
			return refusal
		}
	}
	return nil
}

func examples(t testing.TB, topic, kind string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("examples", topic, kind, "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// TestExamples: good examples pass schema and decoder; bad ones fail both, with the reason in their
// name; those beyond what a schema can say pass it and are refused by the decoder; for lenient
// ones, which are not of the contract, only the schema is asked.
func TestExamples(t *testing.T) {
	for _, topic := range topics.Names() {
		schema, decodes := compile(t, topic), decoder(t, topic)
		for kind, want := range map[string]struct{ schema, decoder bool }{
			"good": {true, true}, "bad": {false, false}, "beyond": {true, false},
			"lenient": {false, true},
		} {
			files := examples(t, topic, kind)
			if len(files) == 0 && (kind == "good" || kind == "bad") {
				t.Errorf("%s has no %s examples", topic, kind)
			}
			for _, path := range files {
				value, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				if err := valid(t, schema, value); (err == nil) != want.schema {
					t.Errorf("%s: schema says %v", path, err)
				}
				if decodes == nil || kind == "lenient" {
					continue
				}
				refusal := decodes(value, arrival)
				if (refusal == nil) != want.decoder {
					t.Errorf("%s: decoder says %v", path, refusal)
				}
				if refusal != nil && !strings.HasSuffix(path, "."+string(refusal.Reason)+".json") {
					t.Errorf("%s: refused as %v", path, refusal)
				}
			}
		}
	}
}

// beyondSchema tells whether a refusal is about something that a schema cannot say, or that
// stands below JSON values: bytes, field names given twice, times relative to the arrival, and
// how values compare with each other.
func beyondSchema(r *billing.Refusal) bool {
	switch r.Reason {
	case billing.NotJSON, billing.DuplicateKey, billing.ConfluentFramed, billing.RecordTooLarge,
		billing.TimeOutOfRange, billing.TiersRefused:
		return true
	}
	return strings.Contains(r.Detail, "is not after from")
}

// TestGeneratedRecordsAgree runs a stream with many malformed records through both.
func TestGeneratedRecordsAgree(t *testing.T) {
	g, err := generate.New(generate.Options{Seed: 11, Catalog: faceID(t),
		From: billing.DateOf(2022, 12, 25), To: billing.DateOf(2023, 1, 20), Accounts: 60,
		Calls: 4000, Rates: generate.Rates{Malformed: 0.3, Unknown: 0.05, Duplicates: 0.05,
			Corrections: 0.5, UnknownCodes: 0.05, FreeActions: 0.05}})
	if err != nil {
		t.Fatal(err)
	}
	schema := map[string]*jsonschema.Schema{}
	decodes := map[string]func([]byte, billing.Arrival) *billing.Refusal{}
	for _, topic := range []string{callsTopic, eventsTopic} {
		schema[topic], decodes[topic] = compile(t, topic), decoder(t, topic)
	}
	compared := map[bool]int{}
	for r := range g.Records() {
		refusal := decodes[r.Topic](r.Value, billing.Arrival{Appended: r.Arrived})
		if refusal != nil && beyondSchema(refusal) {
			continue
		}
		compared[refusal == nil]++
		if err := valid(t, schema[r.Topic], r.Value); (err == nil) != (refusal == nil) {
			t.Fatalf("%s: decoder says %v, schema says %v", r.Value, refusal, err)
		}
	}
	if compared[true] < 4000 || compared[false] < 300 {
		t.Errorf("compared %v", compared)
	}
}

// spoilers are values that a field may come to hold, of every JSON type and near every limit.
var spoilers = []string{
	`null`, `true`, `false`, `0`, `1`, `-1`, `1.5`, `1000000000000`, `1000000000001`, `1e400`, `""`,
	`" "`, `"x"`, `"0"`, `"-0"`, `"-0.0"`, `"00.10"`, `"1"`, `"-1"`, `"0.001"`, `"0.1234567890"`,
	`"0.12345678901"`, `"999999999999999999.99"`, `"1000000000000000000"`, `"1e3"`, `"NaN"`,
	`"free"`, `"paid"`, `"volume"`, `"graduated"`, `"plus"`, `"authority"`, `"2023-01-05"`,
	`"2023-02-29"`, `"2024-02-29"`, `"2023-01-05T08:00:00Z"`, `"2023-01-05T08:00:00.5+08:00"`,
	`"2023-02-29T08:00:00Z"`, `"2023-01-05T08:00Z"`, `"2023-01-05T24:00:00Z"`, `[]`, `[""]`, `["a"]`,
	`[1]`, `[null]`, `[[]]`, `{}`, `{"version":null}`, `{"version":""}`, `{"name":5}`,
	`[{"from_quantity":0,"unit_price":"1"}]`, `[{"from_quantity":0,"unit_price":"-0"}]`,
	`[{"from_quantity":0,"unit_price":null}]`, `[{"from_quantity":-1,"unit_price":"1"}]`,
	`"` + strings.Repeat("汉", 64) + `"`, `"` + strings.Repeat("汉", 65) + `"`,
	`"` + strings.Repeat("y", 128) + `"`, `"` + strings.Repeat("y", 129) + `"`,
	`"` + strings.Repeat("é", 256) + `"`, `"` + strings.Repeat("é", 257) + `"`,
	`"` + strings.Repeat("0", 34) + `.1"`, `"` + strings.Repeat("0", 35) + `.1"`,
}

// TestSpoiltRecordsAgree takes good examples, drops and replaces fields, and compares what decoder
// and schema say: whatever one accepts the other accepts, but for what beyondSchema lists.
func TestSpoiltRecordsAgree(t *testing.T) {
	for _, topic := range []string{callsTopic, eventsTopic} {
		schema, decodes := compile(t, topic), decoder(t, topic)
		accepted, refused := 0, 0
		d := rand.New(rand.NewPCG(1, 2))
		for _, path := range examples(t, topic, "good") {
			var fields map[string]json.RawMessage
			value, err := os.ReadFile(path)
			if err == nil {
				err = json.Unmarshal(value, &fields)
			}
			if err != nil {
				t.Fatal(err)
			}
			for range 600 {
				v := spoil(d, fields)
				refusal := decodes(v, arrival)
				if refusal != nil && beyondSchema(refusal) {
					continue
				}
				if err := valid(t, schema, v); (err == nil) != (refusal == nil) {
					t.Fatalf("%s:\n%s\ndecoder says %v, schema says %v", path, v, refusal, err)
				}
				if refusal == nil {
					accepted++
				} else {
					refused++
				}
			}
		}
		if accepted < 300 || refused < 2000 {
			t.Errorf("%s: %d accepted, %d refused", topic, accepted, refused)
		}
	}
}

// spoil drops or replaces one or two fields.
func spoil(d *rand.Rand, fields map[string]json.RawMessage) []byte {
	names := make([]string, 0, len(fields))
	for name := range fields { // sorted below
		names = append(names, name)
	}
	slices.Sort(names)
	out := map[string]json.RawMessage{}
	for _, name := range names {
		out[name] = fields[name]
	}
	for range 1 + d.IntN(2) {
		name := names[d.IntN(len(names))]
		if d.IntN(8) == 0 {
			delete(out, name)
			continue
		}
		out[name] = json.RawMessage(spoilers[d.IntN(len(spoilers))])
	}
	var b bytes.Buffer
	b.WriteByte('{')
	for _, name := range names {
		if v, ok := out[name]; ok {
			if b.Len() > 1 {
				b.WriteByte(',')
			}
			fmt.Fprintf(&b, "%q:%s", name, v)
		}
	}
	b.WriteByte('}')
	return b.Bytes()
}

// TestBillsAndStatusAreValid: what the pipeline writes about a generated month is what the schemas
// of the output topics say.
func TestBillsAndStatusAreValid(t *testing.T) {
	cat := faceID(t)
	g, err := generate.New(generate.Options{Seed: 5, Catalog: cat,
		From: billing.DateOf(2022, 12, 25), To: billing.DateOf(2023, 1, 25), Accounts: 40,
		Calls: 6000, Rates: generate.DefaultRates()})
	if err != nil {
		t.Fatal(err)
	}
	var records []batch.Record
	for r := range g.Records() {
		kind := batch.CallRecord
		if r.Topic == eventsTopic {
			kind = batch.EventRecord
		}
		records = append(records, batch.Record{Kind: kind, Value: r.Value,
			Arrival: billing.Arrival{Appended: r.Arrived, Topic: r.Topic,
				Offset: int64(len(records))}})
	}
	out, err := batch.Run(cat, records, g.Until(), nil)
	if err != nil {
		t.Fatal(err)
	}
	zone := cat.Settings.Zone
	bills, status, quarantine := compile(t, "billing.bills"), compile(t, "billing.service-status"),
		compile(t, "billing.quarantine")
	for _, b := range out.Bills {
		if err := valid(t, bills, canonical.Bill(b, zone)); err != nil {
			t.Fatalf("%s: %v", canonical.Bill(b, zone), err)
		}
	}
	for i := range out.Status {
		if err := valid(t, status, canonical.Status(&out.Status[i], zone)); err != nil {
			t.Fatalf("%s: %v", canonical.Status(&out.Status[i], zone), err)
		}
	}
	for _, q := range out.Quarantined {
		headers := canonical.JSON(canonical.Object{"topic": q.Arrival.Topic, "partition": "0",
			"offset": fmt.Sprint(q.Arrival.Offset), "reason": string(q.Refusal.Reason),
			"detail": q.Refusal.Detail, "hint": q.Refusal.Reason.Hint()})
		if err := valid(t, quarantine, headers); err != nil {
			t.Fatalf("%s: %v", headers, err)
		}
	}
	if len(out.Bills) < 100 || len(out.Status) < 10 || len(out.Quarantined) < 10 {
		t.Errorf("%d bills, %d changes of status, %d quarantined", len(out.Bills), len(out.Status),
			len(out.Quarantined))
	}
}

// TestQuarantineReasonsAreAllThere keeps the enum of reasons true.
func TestQuarantineReasonsAreAllThere(t *testing.T) {
	text, err := topics.Schema("billing.quarantine")
	if err != nil {
		t.Fatal(err)
	}
	var schema struct {
		Properties struct{ Reason struct{ Enum []string } }
	}
	if err := json.Unmarshal(text, &schema); err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, r := range billing.Reasons() {
		want = append(want, string(r))
	}
	slices.Sort(want)
	if !slices.Equal(want, schema.Properties.Reason.Enum) {
		t.Errorf("schema has %q\nreasons are %q", schema.Properties.Reason.Enum, want)
	}
}
