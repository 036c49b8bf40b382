package ingest

import (
	"testing"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/kafkalog"
	"tollstream/pipeline/stored"
)

// FuzzRequeuedHeader: a header says where a record stood only in the form in which we write it.
func FuzzRequeuedHeader(f *testing.F) {
	for _, seed := range []string{"faceid.calls/3/17", "calls#2/0/0", "a/b/c", "a/-1/+2", "//", "a/1",
		"a/2147483648/1", "a/1/9223372036854775808", "a/01/1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, place string) {
		r := kafkalog.Record{Value: []byte("{}"),
			Headers: []kafkalog.Header{{Key: stored.RequeuedFrom, Value: []byte(place)}}}
		for _, q := range requeued(&r) {
			at := billing.Arrival{Topic: q.Topic, Partition: q.Partition, Offset: q.Offset}
			if at.Place() != place || q.Topic == "" || q.Partition < 0 || q.Offset < 0 {
				t.Errorf("%q is taken as %s", place, at.Place())
			}
		}
	})
}
