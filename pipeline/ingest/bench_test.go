package ingest

import (
	"fmt"
	"testing"
	"time"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/catalog"
	"tollstream/pipeline/kafkalog"
	"tollstream/pipeline/roster"
	"tollstream/pipeline/stored"
	"tollstream/schemas"
)

// BenchmarkBuild is the way from fetched records to rows, of a partition at a time.
func BenchmarkBuild(b *testing.B) {
	cat, err := catalog.Parse("faceid/catalog.yaml", schemas.FaceIDCatalog())
	if err != nil {
		b.Fatal(err)
	}
	const n = 10_000
	fetched := []kafkalog.Fetched{{Topic: "calls", Next: n}}
	for i := range n {
		fetched[0].Records = append(fetched[0].Records, kafkalog.Record{Offset: int64(i),
			AppendTime: time.Date(2023, 2, 2, 8, 0, 1, 0, time.UTC),
			Value: fmt.Appendf(nil, `{"call_id":"0f8e6f3c-52b1-4c0e-9c39-%012x",`+
				`"account_id":"13000000%02d","occurred_at":"2023-02-02T08:00:00.%03d+08:00","channel":"enhanced_app_sdk","result_code":"0",`+
				`"compare_source":"self_photo","edition":"plus","need_charge":true,`+
				`"sdk":{"platform":"android","version":"v4.5.4"}}`, i, i%100, i%1000)})
	}
	known := roster.New(cat, nil)
	for i := range 100 {
		id := fmt.Sprintf("13000000%02d", i)
		known.Admit([]stored.Event{{AccountEvent: billing.AccountEvent{EventID: id, AccountID: id,
			Type: billing.AccountOpened, OpenedAt: billing.InstantOf(time.Now())}}})
	}
	builder, rows := newBuilder(cat, "events", known), &stored.Batch{}
	b.ReportAllocs()
	for b.Loop() {
		builder.begin(rows)
		if builder.add(rows, fetched); rows.Calls.Len() != n || len(rows.Quarantined) > 0 {
			b.Fatal(rows.Quarantined[0].Refusal)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/record")
}
