package verify

import (
	"strings"
	"testing"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/catalog"
	"tollstream/pipeline/remake/remaketest"
	"tollstream/schemas"
)

var at = remaketest.At

// TestRecordsAreSeenByBarriers has a call that was appended in time and stands beyond the barrier,
// as after a broker's clock stepped back: it is late. And it has a call that a stranger's copy
// claimed first, whose account nothing else connects with.
func TestRecordsAreSeenByBarriers(t *testing.T) {
	cat, err := catalog.Parse("faceid/catalog.yaml", schemas.FaceIDCatalog())
	if err != nil {
		t.Fatal(err)
	}
	m := &remaketest.Memory{}
	m.Open("1001", at(1, 0))
	m.Open("2002", at(1, 0))
	call := func(id, account string, hour int) {
		m.Call(id, account, "IdCardVerification", "0", at(1, 9), at(1, hour))
	}
	call("a", "1001", 10)
	call("b", "2002", 11) // claims b
	call("b", "1001", 12)
	call("c", "1001", 13) // beyond the first barrier
	call("d", "2002", 14) // no business of 1001
	m.Close(cat, 1, 2, 3)
	m.Close(cat, 2, 2, 5)
	if err := m.Keep(t.Context(), "1001"); err != nil {
		t.Fatal(err)
	}
	if len(m.Bills) != 2 {
		t.Fatalf("%d bills", len(m.Bills))
	}
	for i, id := range []string{"1001/2023-02-01", "1001/2023-02-02"} {
		if b := m.Bills[i].Row; b.BillID != id || len(b.Lines) != 1 || b.Lines[0].Quantity != 1 {
			t.Fatalf("%s: %+v", id, b)
		}
	}
	verify := func(s Selection) []Result {
		t.Helper()
		v, err := New(t.Context(), m, cat)
		if err != nil {
			t.Fatal(err)
		}
		results, err := v.Accounts(t.Context(), []string{"1001"}, s)
		if err != nil {
			t.Fatal(err)
		}
		return results
	}
	for _, r := range verify(Selection{}) {
		if r.Differs != "" {
			t.Errorf("%s: %s", r.BillID, r.Differs)
		}
	}
	if kind := m.Bills[1].Row.Lines[0].Kind; kind != billing.LateUsageLine {
		t.Errorf("the call beyond the barrier is on a line %s", kind)
	}
	if last := strings.Join(m.Asked[len(m.Asked)-1], " "); last != "1001 2002" {
		t.Errorf("events were asked for of %s", last)
	}
	if one := verify(Selection{ID: "1001/2023-02-01", Until: at(2, 8)}); len(one) != 1 {
		t.Errorf("one bill: %+v", one)
	}
	m.Calls[0].ResultCode = "-99" // nobody is charged for that code
	differ := verify(Selection{})
	if len(differ) != 2 || !strings.Contains(differ[0].Differs, "the records make no such bill") {
		t.Errorf("after a call was changed: %+v", differ)
	}
	m.Bills = m.Bills[:1]
	differ = verify(Selection{})
	if len(differ) != 2 || !strings.Contains(differ[1].Differs, "it is not stored") {
		t.Errorf("after a bill was removed: %+v", differ)
	}
}
