package text

import (
	"bytes"
	"testing"

	"github.com/shopspring/decimal"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/simulate"
)

// TestSimulationGolden has a bill that became dearer, with a line that lost its package and one of
// rounding, a bill that is new, and an account of which only the status differs.
func TestSimulationGolden(t *testing.T) {
	change := func(oldCalls int64, was string, newCalls int64, is string) simulate.Change {
		return simulate.Change{
			Old: simulate.Sum{Quantity: oldCalls, Amount: decimal.RequireFromString(was)},
			New: simulate.Sum{Quantity: newCalls, Amount: decimal.RequireFromString(is)},
		}
	}
	accounts := []simulate.Account{
		{AccountID: "1001", OldStatus: billing.Active, NewStatus: billing.InArrears,
			Change: change(1000, "99.5", 1012, "104.46"), Bills: []simulate.Bill{
				{BillID: "1001/2023-02", Change: change(1000, "99.5", 1000, "103.26"),
					Lines: []simulate.Line{
						{Kind: billing.UsageLine, Tag: "idcard", TagName: "身份证信息核验",
							Change: change(330, "99", 342, "102.756")},
						{Kind: billing.CoveredLine, Tag: "idcard", TagName: "身份证信息核验",
							Change: change(670, "0", 658, "0")},
						{Kind: billing.RoundingLine, Change: change(0, "0.5", 0, "0.504")},
					}},
				{BillID: "1001/2023-03", Change: change(0, "0", 12, "1.2"), Lines: []simulate.Line{
					{Kind: billing.LateUsageLine, Tag: "eid", TagName: "E证通",
						Change: change(0, "0", 12, "1.2")}}},
			}},
		{AccountID: "o\x1b[2Jneil", OldStatus: billing.Suspended, NewStatus: billing.Active,
			Change: change(0, "0", 0, "0")},
	}
	var totals simulate.Totals
	for i := range accounts {
		totals.Add(&accounts[i])
	}
	var out bytes.Buffer
	if err := Simulation(&out, accounts, &totals, "CNY"); err != nil {
		t.Fatal(err)
	}
	golden(t, "simulation.txt", out.Bytes())
	if bytes.Contains(out.Bytes(), []byte("\x1b")) {
		t.Error("an id from a record reaches the terminal as a control sequence")
	}
	out.Reset()
	if err := Simulation(&out, nil, &simulate.Totals{}, "CNY"); err != nil {
		t.Fatal(err)
	}
	golden(t, "simulation_none.txt", out.Bytes())
}
