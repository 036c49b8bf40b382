package generate

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"hash"
	"maps"
	"runtime"
	"strings"
	"testing"

	"github.com/segmentio/kafka-go"

	"tollstream/pipeline/accounts"
	"tollstream/pipeline/batch"
	"tollstream/pipeline/billing"
	"tollstream/pipeline/catalog"
	"tollstream/pipeline/decode"
	"tollstream/schemas"
)

func faceID(t testing.TB) *catalog.Catalog {
	t.Helper()
	cat, err := catalog.Parse("faceid/catalog.yaml", schemas.FaceIDCatalog())
	if err != nil {
		t.Fatal(err)
	}
	return cat
}

// january is a month in which all three cohorts live, and daily billing begins.
func january(t testing.TB, seed uint64, calls int) Options {
	return Options{Seed: seed, Catalog: faceID(t), From: billing.DateOf(2022, 12, 25),
		To: billing.DateOf(2023, 1, 25), Accounts: 24, Calls: calls, Rates: DefaultRates()}
}

func generator(t testing.TB, o Options) *Generator {
	t.Helper()
	g, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func digest(g *Generator) string {
	h := sha256.New()
	for r := range g.Records() {
		write(h, &r)
	}
	return hex.EncodeToString(h.Sum(nil))
}

func write(h hash.Hash, r *Record) {
	b, _ := json.Marshal(r) //nolint:errcheck // a struct of plain fields
	h.Write(b)
}

func TestSameSeedSameBytes(t *testing.T) {
	g := generator(t, january(t, 7, 3000))
	first := digest(g)
	if again := digest(g); again != first {
		t.Error("a second range gives other records")
	}
	if again := digest(generator(t, january(t, 7, 3000))); again != first {
		t.Error("another generator of the same options gives other records")
	}
	if other := digest(generator(t, january(t, 8, 3000))); other == first {
		t.Error("another seed gives the same records")
	}
}

// TestOrderAndPartitions: records arrive in order, in whole milliseconds, and stand where Kafka's
// own rule puts their key.
func TestOrderAndPartitions(t *testing.T) {
	g := generator(t, january(t, 1, 4000))
	balancer := kafka.Murmur2Balancer{}
	last := billing.Instant(0)
	used := map[int32]bool{}
	for r := range g.Records() {
		if r.Arrived < last || r.Arrived%billing.Millisecond != 0 {
			t.Fatalf("%s arrives after %s", r.Arrived, last)
		}
		last = r.Arrived
		if r.Topic != "faceid.calls" {
			if r.Partition != 0 {
				t.Fatal("events have one partition here")
			}
			continue
		}
		used[r.Partition] = true
		if want := balancer.Balance(kafka.Message{Key: r.Key}, 0, 1, 2, 3); int(r.Partition) != want {
			t.Fatalf("key %s in partition %d, Kafka says %d", r.Key, r.Partition, want)
		}
	}
	if len(used) != 4 {
		t.Errorf("partitions used: %v", used)
	}
}

func TestPartitionOfKeysOfAnyLength(t *testing.T) {
	balancer := kafka.Murmur2Balancer{}
	list := make([]int, 97)
	for i := range list {
		list[i] = i
	}
	for n := range 40 {
		key := bytes.Repeat([]byte{'x', 0xe4, '7'}, 14)[:n]
		if want := balancer.Balance(kafka.Message{Key: key}, list...); n > 0 &&
			int(PartitionOf(key, 97)) != want {
			t.Errorf("%d bytes: %d, want %d", n, PartitionOf(key, 97), want)
		}
	}
}

// TestDecodersAgree: what is meant to be well-formed decodes, what is spoilt is refused for the
// reason that was meant, and what repeats a call says so.
func TestDecodersAgree(t *testing.T) {
	o := january(t, 3, 20_000)
	o.Rates.Malformed, o.Rates.Unknown = 0.05, 0.02
	g := generator(t, o)
	calls, events := decode.NewCalls(o.Catalog), decode.NewEvents(o.Catalog)
	reasons, seen := map[billing.Reason]int64{}, map[string]bool{}
	for r := range g.Records() {
		var refusal *billing.Refusal
		at := billing.Arrival{Appended: r.Arrived}
		if r.Topic == "faceid.calls" {
			var c billing.CallRecord
			if c, refusal = calls.Decode(r.Value, at); refusal == nil && seen[c.CallID] != r.Copy {
				t.Fatalf("%s: a copy: %v", r.Value, r.Copy)
			}
			seen[c.CallID] = true
		} else {
			_, refusal = events.Decode(r.Value, at)
		}
		got := billing.Reason("")
		if refusal != nil {
			got = refusal.Reason
			reasons[got]++
		}
		if got != r.Expect {
			t.Fatalf("%s %q: refused as %q (%v), want %q", r.Topic, r.Value, got, refusal, r.Expect)
		}
		if len(bytes.TrimSpace(r.Value)) == 0 || bytes.ContainsAny(r.Value, "\n\r") {
			t.Fatalf("%q is no line", r.Value)
		}
	}
	want := maps.Clone(g.Ledger().Malformed)
	for r, n := range g.Ledger().MalformedEvents {
		want[r] += n
	}
	if !maps.Equal(reasons, want) {
		t.Errorf("refused %v, ledger %v", reasons, want)
	}
	for _, r := range []billing.Reason{billing.NotJSON, billing.NotAnObject, billing.DuplicateKey,
		billing.FieldMissing, billing.FieldType, billing.FieldValue, billing.FieldTooLong,
		billing.TimeOutOfRange, billing.ConfluentFramed, billing.UnknownEventType,
		billing.TiersRefused} {
		if reasons[r] == 0 {
			t.Errorf("no record is refused as %s", r)
		}
	}
}

// bills runs the whole pipeline over a stream.
func bills(t testing.TB, g *Generator) *batch.Output {
	t.Helper()
	var records []batch.Record
	offsets := map[string]int64{}
	for r := range g.Records() {
		kind := batch.CallRecord
		if r.Topic == "billing.account-events" {
			kind = batch.EventRecord
		}
		at := billing.Arrival{Appended: r.Arrived, Topic: r.Topic, Partition: r.Partition}
		at.Offset = offsets[at.Log()]
		offsets[at.Log()]++
		records = append(records, batch.Record{Kind: kind, Value: r.Value, Arrival: at})
	}
	out, err := batch.Run(g.opts.Catalog, records, g.Until(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestLedgerIsWhatThePipelineFinds bills a stream without corrections and compares every count.
func TestLedgerIsWhatThePipelineFinds(t *testing.T) {
	for seed := range uint64(4) {
		o := january(t, seed, 5000)
		o.Rates = Rates{Duplicates: 0.1, Conflicts: 0.3, Late: 0.05, Malformed: 0.02,
			Unknown: 0.02, UnknownCodes: 0.02, FreeActions: 0.05}
		g := generator(t, o)
		out := bills(t, g)
		l := g.Ledger()
		var sum batch.Books
		for log, b := range out.Books { // sums have no order
			if !strings.HasPrefix(log, "faceid.calls/") {
				continue
			}
			sum.Read += b.Read
			sum.Charged += b.Charged
			sum.Free += b.Free
			sum.Duplicate += b.Duplicate
			sum.Waiting += b.Waiting
			sum.Quarantined += b.Quarantined
		}
		malformed := int64(0)
		for _, n := range l.Malformed {
			malformed += n
		}
		for _, c := range []struct {
			name      string
			got, want int64
		}{
			{"calls", l.Calls, int64(o.Calls) + l.FreeActions},
			{"read", sum.Read, l.CallRecords},
			{"charged", sum.Charged, l.Charged},
			{"free", sum.Free, l.Free},
			{"duplicates", sum.Duplicate, l.Duplicates},
			{"conflicts", out.Conflicts, l.Conflicts},
			{"waiting", sum.Waiting, l.UnknownAccounts},
			{"quarantined", sum.Quarantined, malformed + l.NoTag},
			{"voided", l.Voided, 0},
		} {
			if c.got != c.want {
				t.Errorf("seed %d: %s %d, want %d", seed, c.name, c.got, c.want)
			}
		}
	}
}

// TestStoryIsRich: a month with all its troubles has bills of both cycles, every kind of line that
// a generator can bring about, arrears and suspensions.
func TestStoryIsRich(t *testing.T) {
	kinds, statuses, flags := map[billing.LineKind]int{}, map[billing.Status]int{}, map[string]int{}
	cycles := map[billing.Cycle]int{}
	refused := map[billing.Reason]int{}
	for seed := range uint64(6) {
		o := january(t, seed, 6000)
		o.Accounts, o.Rates.Corrections, o.Rates.Late = 60, 0.4, 0.03
		g := generator(t, o)
		out := bills(t, g)
		for _, b := range out.Bills {
			cycles[b.Period.Cycle]++
			for _, l := range b.Lines {
				kinds[l.Kind]++
				for _, f := range l.Flags {
					flags[f]++
				}
			}
		}
		for _, s := range out.Status {
			statuses[s.Status]++
		}
		for _, q := range out.Quarantined {
			refused[q.Refusal.Reason]++
		}
		if l := g.Ledger(); len(l.ByCohort) != 3 {
			t.Errorf("seed %d: cohorts %v", seed, l.ByCohort)
		}
	}
	for _, k := range billing.LineKinds {
		if kinds[k] == 0 && k != billing.VoidedLine { // calls are voided before their closing
			t.Errorf("no %s line: %v", k, kinds)
		}
	}
	for _, s := range []billing.Status{billing.InArrears, billing.Suspended, billing.Active} {
		if statuses[s] == 0 {
			t.Errorf("nobody is %s: %v", s, statuses)
		}
	}
	if cycles[billing.Daily] == 0 || cycles[billing.Monthly] == 0 || flags[billing.FlagOffList] == 0 {
		t.Errorf("cycles %v, flags %v", cycles, flags)
	}
	for _, r := range []billing.Reason{billing.OpenedTwice, billing.SubAccountTaken,
		billing.UnknownTag, billing.UnknownPackage, billing.RefundUsed} {
		if refused[r] == 0 {
			t.Errorf("nothing is refused as %s: %v", r, refused)
		}
	}
}

// TestEventsComeInAnyOrderOfLife: every type of event is made, and most are accepted.
func TestEventTypes(t *testing.T) {
	o := january(t, 5, 4000)
	o.Accounts, o.Rates.Corrections, o.Rates.Malformed = 200, 0.3, 0
	g := generator(t, o)
	reg, dec := accounts.New(), decode.NewEvents(o.Catalog)
	verdicts := map[accounts.Verdict]int{}
	for r := range g.Records() {
		if r.Topic != "billing.account-events" {
			continue
		}
		ev, refusal := dec.Decode(r.Value, billing.Arrival{Appended: r.Arrived})
		if refusal != nil {
			t.Fatal(refusal)
		}
		for _, d := range reg.Admit(o.Catalog, &ev) {
			verdicts[d.Verdict]++
		}
	}
	for _, typ := range []billing.EventType{billing.AccountOpened, billing.SubAccountAdded,
		billing.PackageDelivered, billing.PackageRefunded, billing.PostpaidDisabled,
		billing.PostpaidEnabled, billing.BalanceToppedUp, billing.BalanceAdjusted,
		billing.UsageVoided, billing.PriceAgreed, billing.AccountClosed} {
		if g.Ledger().Events[typ] == 0 {
			t.Errorf("no %s", typ)
		}
	}
	if len(reg.WaitingEvents()) > 0 {
		t.Errorf("%d events wait for ever", len(reg.WaitingEvents()))
	}
	if verdicts[accounts.Repeated] < int(g.Ledger().EventDuplicates)/2 ||
		verdicts[accounts.Refused] == 0 || verdicts[accounts.Waiting] == 0 {
		t.Errorf("verdicts %v, ledger %+v", verdicts, g.Ledger())
	}
}

// TestRegimes: days around every change of rules, from 2020 on, with every tag of the catalogue
// that can be reached.
func TestRegimes(t *testing.T) {
	cat := faceID(t)
	spans := RegimeSpans(cat, 2, billing.DateOf(2023, 3, 1))
	if len(spans) < 5 {
		t.Fatalf("spans %v", spans)
	}
	g := generator(t, Options{Seed: 1, Catalog: cat, Spans: spans, Accounts: 60, Calls: 4000,
		Rates: DefaultRates()})
	out := bills(t, g)
	tags := map[string]bool{}
	for _, b := range out.Bills {
		for _, l := range b.Lines {
			tags[l.Tag] = true
		}
	}
	for _, tag := range []string{"legacy_liveness_authority", "enh_auth_wechat", "phone", "phone2",
		"basic_auth", "idcard", "eid"} {
		if !tags[tag] {
			t.Errorf("no line with the tag %s: %v", tag, tags)
		}
	}
}

func TestOptionFaults(t *testing.T) {
	for name, change := range map[string]func(o *Options){
		"catalogue": func(o *Options) { o.Catalog = nil },
		"days":      func(o *Options) { o.To = o.From },
		"rate":      func(o *Options) { o.Rates.Late = 0.6 },
		"accounts":  func(o *Options) { o.Accounts = -1 },
		"many days": func(o *Options) { o.To = o.From + 6000 },
	} {
		o := january(t, 1, 10)
		change(&o)
		if _, err := New(o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestMemoryIsBounded makes many calls and looks at the heap in the middle.
func TestMemoryIsBounded(t *testing.T) {
	if testing.Short() {
		t.Skip("makes 300,000 calls")
	}
	g := generator(t, january(t, 1, 300_000))
	var n int
	var most uint64
	for range g.Records() {
		if n++; n%100_000 == 0 {
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			most = max(most, m.HeapAlloc)
		}
	}
	if most > 48<<20 {
		t.Errorf("%d MiB on the heap", most>>20)
	}
}

// TestSecondProduct: another catalogue, with other dimensions and codes, in a zone with days of 23
// hours, needs no code here.
func TestSecondProduct(t *testing.T) {
	cat, err := catalog.Parse("docscan/catalog.yaml", schemas.DocScanCatalog())
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Seed: 3, Catalog: cat, From: billing.DateOf(2025, 2, 15),
		To: billing.DateOf(2025, 4, 5), Accounts: 12, Calls: 4000,
		CallsTopic: "docscan.calls", Rates: DefaultRates()}
	o.Rates.Corrections = 0
	g := generator(t, o)
	out := bills(t, g)
	l := g.Ledger()
	charged, free := int64(0), int64(0)
	for _, b := range out.Books { // sums have no order
		charged += b.Charged
		free += b.Free
	}
	if charged != l.Charged || free != l.Free || l.Calls < 4000 || len(l.ByCohort) != 2 {
		t.Errorf("charged %d, free %d; ledger %+v", charged, free, l)
	}
	if len(out.Bills) < 20 {
		t.Errorf("%d bills", len(out.Bills))
	}
}

func BenchmarkRecords(b *testing.B) {
	g := generator(b, january(b, 1, 200_000))
	n := 0
	for b.Loop() {
		for range g.Records() {
			n++
		}
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "records/s")
}
