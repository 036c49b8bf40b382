package settle

import (
	"context"
	"strings"
	"testing"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/kafkalog"
	"tollstream/pipeline/stored"
)

// gapWorld is a partition whose log has [20, 40), of which [30, 32) cannot be read, and of which
// [5, 10) and [20, 30) are stored; a closing has seen it up to 7.
type gapWorld struct{}

func (gapWorld) Offsets(context.Context, string, int) (start, high, stable int64, err error) {
	return 20, 40, 40, nil
}

func (gapWorld) Fetch(
	_ context.Context, topic string, partition int, offset int64,
) (kafkalog.Fetched, error) {
	if offset == 30 || offset == 31 {
		return kafkalog.Fetched{}, &kafkalog.CorruptBatch{Topic: topic, Partition: partition,
			Offset: 30, Err: context.Canceled}
	}
	return kafkalog.Fetched{Next: offset + 1}, nil
}

func (gapWorld) ClosedSettlements(context.Context) ([]stored.Settlement, error) {
	return []stored.Settlement{{Day: billing.DateOf(2023, 2, 1), Barriers: []stored.Barrier{
		{Topic: "calls", Low: 5, High: 7}}}}, nil
}

func (gapWorld) Run(
	_ context.Context, topic string, partition int32, from int64, _ billing.Instant,
) (stored.Barrier, error) {
	r := stored.Barrier{Topic: topic, Partition: partition, Low: from, High: from}
	if topic == "calls" && partition == 1 {
		r.Low, r.High = 5, 30
	}
	return r, nil
}

func (gapWorld) StoredIn(_ context.Context, r stored.Barrier) (int64, string, error) {
	for at := r.Low; at < r.High; at++ {
		if at >= 5 && at < 10 || at >= 20 && at < 30 {
			return at, "deliveries", nil
		}
	}
	return 0, "", nil
}

// TestGapRefusals: only what is lost for ever can be accepted.
func TestGapRefusals(t *testing.T) {
	check := GapCheck{Log: gapWorld{}, Store: gapWorld{},
		Gaps: []stored.Gap{{Topic: "calls", From: 14, To: 15, By: "li", Reason: "disk"}},
		Epochs: stored.Epochs{"old": {{Topic: "old", Number: 1, Reason: "first"},
			{Topic: "old", Number: 2}}}}
	for _, x := range []struct {
		topic     string
		partition int32
		from, to  int64
		want      string // "" is accepted
	}{
		{"calls", 0, 10, 14, ""},
		{"calls", 0, 15, 20, ""},
		{"calls", 0, 30, 32, ""}, // corrupt
		{"calls", 0, 14, 20, "accepted as lost already, by li: disk"},
		{"calls", 0, 10, 20, "accepted as lost already"},
		{"calls", 0, 6, 12, "the closing of 2023-02-01 and those before it have seen"},
		{"calls", 0, 9, 12, "offset 9 of calls/0 is not lost: the table deliveries"},
		{"calls", 0, 10, 11, ""},
		{"calls", 0, 15, 21, "offset 20 of calls/0 is not lost: the table"},
		{"calls", 0, 30, 33, "offset 32 of calls/0 can still be read"},
		{"calls", 0, 31, 41, "ends at offset 40"},
		{"calls", 1, 2, 5, "the books of calls/1 begin at offset 5"},
		{"calls", 1, 10, 20, ""},
		{"calls", 2, 10, 20, "nothing of calls/2 was ever read"},
		{"old", 0, 10, 20, "nothing of old/0 was ever read"},
	} {
		err := check.Refusal(t.Context(), stored.Gap{Topic: x.topic, Partition: x.partition,
			From: x.from, To: x.to})
		if (err == nil) != (x.want == "") || err != nil && !strings.Contains(err.Error(), x.want) {
			t.Errorf("%s/%d [%d, %d): %v, want %q", x.topic, x.partition, x.from, x.to, err, x.want)
		}
	}
}

// TestOfAnEpochThatIsOver nothing can be read, whatever the topic has at those offsets now.
func TestOfAnEpochThatIsOver(t *testing.T) {
	check := GapCheck{Log: gapWorld{}, Store: gapWorld{},
		Epochs: stored.Epochs{"calls": {{Topic: "calls", Number: 1}, {Topic: "calls", Number: 2}}}}
	gap := stored.Gap{Topic: "calls", From: 35, To: 50}
	if err := check.Refusal(t.Context(), gap); err != nil {
		t.Errorf("%v", err)
	}
}
