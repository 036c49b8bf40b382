package stored

import "testing"

// TestGapsCountOnce: of gaps that overlap the first counts, and gaps that touch do not overlap.
func TestGapsCountOnce(t *testing.T) {
	gap := func(topic string, partition int32, from, to int64) Gap {
		return Gap{Topic: topic, Partition: partition, From: from, To: to}
	}
	var all []Gap
	for _, x := range []struct {
		gap   Gap
		count int // gaps that count after it
	}{
		{gap("calls", 0, 10, 20), 1},
		{gap("calls", 0, 10, 20), 1},
		{gap("calls", 0, 19, 30), 1},
		{gap("calls", 0, 0, 11), 1},
		{gap("calls", 0, 12, 13), 1},
		{gap("calls", 0, 20, 21), 2},
		{gap("calls", 1, 10, 20), 3},
		{gap("calls#2", 0, 10, 20), 4},
	} {
		if all = AddGap(all, x.gap); len(all) != x.count {
			t.Errorf("%+v: %d gaps count, want %d", x.gap, len(all), x.count)
		}
	}
}

// TestEpochsFollowOnEachOther: a second record of a number, and one that leaves a number out,
// change nothing.
func TestEpochsFollowOnEachOther(t *testing.T) {
	all := Epochs{}
	for _, x := range []struct {
		number int
		id     string
		want   string // id of the epoch that the topic is in
		log    string
	}{
		{2, "early", "", "calls"}, {1, "a", "a", "calls"}, {1, "b", "a", "calls"},
		{3, "c", "a", "calls"}, {2, "d", "d", "calls#2"}, {3, "e", "e", "calls#3"},
	} {
		all.Add(Epoch{Topic: "calls", Number: x.number, TopicID: x.id})
		now := all.Last("calls")
		if now.TopicID != x.want || now.Log() != x.log || TopicOf(now.Log()) != "calls" {
			t.Errorf("after epoch %d %s: %+v, log %s", x.number, x.id, now, now.Log())
		}
	}
}
