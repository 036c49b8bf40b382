package stored

import (
	"slices"
	"testing"
)

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

// TestWithout cuts gaps out of ranges and counts what they take.
func TestWithout(t *testing.T) {
	b := func(low, high int64) Barrier {
		return Barrier{Topic: "calls", Partition: 1, Low: low, High: high, TopicID: "t"}
	}
	gap := func(from, to int64) Gap { return Gap{Topic: "calls", Partition: 1, From: from, To: to} }
	for name, x := range map[string]struct {
		gaps []Gap
		want []Barrier
		lost int64
	}{
		"none":         {nil, []Barrier{b(10, 20)}, 0},
		"inside":       {[]Gap{gap(12, 14)}, []Barrier{b(10, 12), b(14, 20)}, 2},
		"two":          {[]Gap{gap(12, 14), gap(14, 15)}, []Barrier{b(10, 12), b(15, 20)}, 3},
		"all":          {[]Gap{gap(10, 20)}, nil, 10},
		"more":         {[]Gap{gap(5, 30)}, nil, 10},
		"at the start": {[]Gap{gap(5, 11)}, []Barrier{b(11, 20)}, 1},
		"at the end":   {[]Gap{gap(19, 25)}, []Barrier{b(10, 19)}, 1},
		"beside":       {[]Gap{gap(5, 10), gap(20, 25)}, []Barrier{b(10, 20)}, 0},
		"elsewhere": {[]Gap{{Topic: "calls", From: 12, To: 14}, {Topic: "calls#2", Partition: 1,
			From: 12, To: 14}}, []Barrier{b(10, 20)}, 0},
	} {
		if have := Without([]Barrier{b(10, 20)}, x.gaps); !slices.Equal(have, x.want) {
			t.Errorf("%s: have %+v, want %+v", name, have, x.want)
		}
		if have := LostIn(b(10, 20), x.gaps); have != x.lost {
			t.Errorf("%s: %d lost, want %d", name, have, x.lost)
		}
	}
}

// TestEpochCheck: another id is refused, one that is not told is not compared.
func TestEpochCheck(t *testing.T) {
	is := Epoch{Topic: "calls", Number: 1, ClusterID: "c", TopicID: "t"}
	for _, x := range []struct {
		was            Epoch
		cluster, topic string
		same           bool
	}{
		{is, "c", "t", true}, {is, "d", "t", false}, {is, "c", "u", false}, {is, "", "", true},
		{is, "", "u", false}, {Epoch{Topic: "calls"}, "c", "t", true},
	} {
		if err := x.was.Check(x.cluster, x.topic); (err == nil) != x.same {
			t.Errorf("%+v against %s, %s: %v", x.was, x.cluster, x.topic, err)
		}
	}
}
