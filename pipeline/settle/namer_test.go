package settle

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/stored"
)

// namedLog is a topic in its second epoch, whose log begins at 20. Records at even offsets are
// duplicates; the one at 29 cannot be read.
type namedLog struct{}

func (namedLog) Offsets(context.Context, string, int) (start, high, stable int64, err error) {
	return 20, 40, 40, nil
}

func (namedLog) Kinds(_ context.Context, list []stored.Delivery) ([]Kind, error) {
	if list[0].Arrival.Offset%2 == 0 {
		return []Kind{KindDuplicate}, nil
	}
	return []Kind{KindCall}, nil
}

func look(_ context.Context, at billing.Arrival) (stored.Delivery, error) {
	if at.Offset == 29 {
		return stored.Delivery{}, errors.New("no broker")
	}
	return stored.Delivery{Arrival: at}, nil
}

// TestName: what the log does not have is lost, what it has is looked at, as far as asked for; the
// rest stays unknown. c is a call, d a duplicate.
func TestName(t *testing.T) {
	n := Namer{Log: namedLog{}, Store: namedLog{}, Look: look, Most: 4,
		Epochs: stored.Epochs{"calls": {{Topic: "calls", Number: 1}, {Topic: "calls", Number: 2}}}}
	for row := range strings.Lines(`
		# log      from to  named
		calls#2     20  21  20-21 d
		calls#2     21  23  21-22 c, 22-23 d
		calls#2     19  21  19-20 lost, 20-21 d
		calls#2     10  20  10-20 lost
		calls#2     30  34  30-31 d, 31-32 c, 32-33 d, 33-34 c
		calls#2     30  36  30-31 d, 31-32 c, 32-33 d, 33-34 c, 34-36 unknown
		calls#2     15  26  15-20 lost, 20-21 d, 21-22 c, 22-23 d, 23-26 unknown
		calls       30  34  30-34 lost
	`) {
		fields := strings.Fields(row)
		if len(fields) == 0 || fields[0] == "#" {
			continue
		}
		m := Missing{Topic: fields[0], Kind: KindUnknown, Table: "deliveries"}
		if _, err := fmt.Sscan(fields[1]+" "+fields[2], &m.From, &m.To); err != nil {
			t.Fatalf("%s: %v", row, err)
		}
		named, err := n.Name(t.Context(), []Missing{m})
		if have, want := ranges(named), strings.Join(fields[3:], " "); err != nil || have != want {
			t.Errorf("%s [%d, %d):\nhave %s, %v\nwant %s", m.Topic, m.From, m.To, have, err, want)
		}
	}
	known := Missing{Topic: "calls#2", From: 5, To: 6, Kind: KindEvent, Table: "account_events"}
	unread := Missing{Topic: "calls#2", From: 29, To: 30, Kind: KindUnknown}
	if named, err := n.Name(t.Context(), []Missing{known}); err != nil || named[0] != known {
		t.Errorf("what is known already: %+v, %v", named, err)
	}
	if _, err := n.Name(t.Context(), []Missing{unread}); err == nil {
		t.Error("a record that cannot be read has a name")
	}
	n.Look = nil
	if named, err := n.Name(t.Context(), []Missing{unread}); err != nil || named[0] != unread {
		t.Errorf("where nothing is looked at: %+v, %v", named, err)
	}
}

func ranges(list []Missing) string {
	var texts []string
	short := strings.NewReplacer(string(KindCall), "c", string(KindDuplicate), "d")
	for _, m := range list {
		texts = append(texts, fmt.Sprintf("%d-%d %s", m.From, m.To, short.Replace(string(m.Kind))))
	}
	return strings.Join(texts, ", ")
}
