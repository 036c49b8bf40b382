package stored

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"tollstream/pipeline/billing"
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

// TestWithout cuts gaps of the partition calls/1 out of its ranges, and counts what they take.
// Ranges and gaps are written from-to, the end not included.
func TestWithout(t *testing.T) {
	for row := range strings.Lines(`
		# ranges       gaps               left                     lost
		10-20          -                  10-20                       0
		10-20          12-14              10-12 14-20                 2
		10-20          12-14 14-15        10-12 15-20                 3
		10-20          14-15 12-14        10-12 15-20                 3  # in any order
		10-20          12-13 16-18        10-12 13-16 18-20           3
		10-20          10-20              -                          10
		10-20          5-30               -                          10
		10-20          10-15 15-20        -                          10
		10-20          5-11               11-20                       1
		10-20          19-25              10-19                       1
		10-20          5-11 19-25         11-19                       2
		10-20          5-10 20-25         10-20                       0  # they touch it
		10-20          5-8 22-25          10-20                       0  # they lie apart
		10-20          10-11              11-20                       1
		10-20          19-20              10-19                       1
		10-20 20-30    18-22              10-18 22-30                 4  # across two ranges
		10-20 40-50    15-45              10-15 45-50                10
		10-20 40-50    20-40              10-20 40-50                 0
		10-10          5-15               -                           0  # a closing that saw nothing
		-              5-15               -                           0
	`) {
		row, _, _ = strings.Cut(strings.TrimSpace(row), "#")
		if row == "" {
			continue
		}
		columns := regexp.MustCompile(`\s{2,}`).Split(strings.TrimSpace(row), -1)
		list, gaps, want := barriers(t, columns[0]), gapsOf(t, columns[1]), barriers(t, columns[2])
		before := slices.Clone(list)
		if have := Without(list, gaps); !slices.Equal(have, want) {
			t.Errorf("%s: have %+v", row, have)
		}
		if !slices.Equal(list, before) {
			t.Errorf("%s: the ranges themselves were changed", row)
		}
		lost := int64(0)
		for _, r := range list {
			lost += LostIn(r, gaps)
		}
		if fmt.Sprint(lost) != columns[3] {
			t.Errorf("%s: %d lost", row, lost)
		}
		for _, other := range []Gap{{Topic: "calls"}, {Topic: "calls#2", Partition: 1}} {
			for i := range gaps { // of another partition, and of another epoch
				gaps[i].Topic, gaps[i].Partition = other.Topic, other.Partition
			}
			if have := Without(list, gaps); !slices.Equal(have, list) {
				t.Errorf("%s, of %s/%d: %+v", row, other.Topic, other.Partition, have)
			}
			for _, r := range list {
				if n := LostIn(r, gaps); n != 0 {
					t.Errorf("%s, of %s/%d: %d lost", row, other.Topic, other.Partition, n)
				}
			}
		}
	}
}

func barriers(t *testing.T, text string) (list []Barrier) {
	t.Helper()
	for _, x := range spans(t, text) {
		list = append(list, Barrier{Topic: "calls", Partition: 1, Low: x[0], High: x[1], TopicID: "t"})
	}
	return list
}

func gapsOf(t *testing.T, text string) (list []Gap) {
	t.Helper()
	for _, x := range spans(t, text) {
		list = append(list, Gap{Topic: "calls", Partition: 1, From: x[0], To: x[1]})
	}
	return list
}

func spans(t *testing.T, text string) (list [][2]int64) {
	t.Helper()
	if text == "-" {
		return nil
	}
	for _, x := range strings.Fields(text) {
		var from, to int64
		if _, err := fmt.Sscanf(x, "%d-%d", &from, &to); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		list = append(list, [2]int64{from, to})
	}
	return list
}

// TestGapJSON: a gap is read back as it was written, and what is no range is refused.
func TestGapJSON(t *testing.T) {
	at, err := billing.ParseInstant("2023-02-01T10:00:00.000001+08:00")
	if err != nil {
		t.Fatal(err)
	}
	was := Gap{"calls#2", 3, 5, 8, "disks died", "li.na", at}
	text, err := json.Marshal(was)
	if err != nil {
		t.Fatal(err)
	}
	var is Gap
	if err := json.Unmarshal(text, &is); err != nil || is != was {
		t.Errorf("%s: %+v, %v", text, is, err)
	}
	for _, change := range [][2]string{
		{`"to":8`, `"to":5`}, {`"to":8`, `"to":4`}, {`"from":5`, `"from":-1`},
		{`"partition":3`, `"partition":-3`}, {`"topic":"calls#2"`, `"topic":""`},
		{`"accepted_at":"2023`, `"accepted_at":"x`}, {`"to":8`, `"to":"8"`},
	} {
		bad := strings.Replace(string(text), change[0], change[1], 1)
		if err := json.Unmarshal([]byte(bad), &is); err == nil || bad == string(text) {
			t.Errorf("%s is a gap", bad)
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
