package rating

import (
	"fmt"
	"strings"
	"testing"

	"github.com/shopspring/decimal"

	"tollstream/pipeline/billing"
)

func tiers(text string) []billing.Tier {
	var out []billing.Tier
	for _, word := range strings.Fields(text) {
		var from int64
		var price string
		_, err := fmt.Sscanf(strings.Replace(word, ":", " ", 1), "%d %s", &from, &price)
		if err != nil {
			panic(err)
		}
		if price == "-" {
			out = append(out, billing.Tier{From: from, Unpublished: true})
			continue
		}
		out = append(out, billing.Tier{From: from, Price: decimal.RequireFromString(price)})
	}
	return out
}

const face = "0:1.00 1000:0.85 10000:0.75 100000:0.68 200000:-"

// One row is one fact: how the list works, its tiers, the quantity, the amount.
func TestMonthOfOneEntry(t *testing.T) {
	for _, row := range []struct {
		how      string
		tiers    string
		quantity int64
		want     string
	}{
		{"volume   ", face, 1, "1"},
		{"volume   ", face, 999, "999"},
		{"volume   ", face, 1000, "850"}, // the bound is inclusive (A2)
		{"exclusive", face, 1000, "1000"},
		{"exclusive", face, 1001, "850.85"},
		{"volume   ", face, 3000, "2550"}, // the published example
		{"volume   ", face, 20000, "15000"},
		{"volume   ", face, 199999, "135999.32"},
		{"volume   ", face, 200000, "136000"}, // above the last published tier its price holds
		{"volume   ", "0:0.3", 30000, "9000"},
		{"graduated", "0:1.01 10:0.505 60:0.1", 10, "10.1"},
		{"graduated", "0:1.01 10:0.505 60:0.1", 11, "10.605"}, // the 11th lies in the second tier
		{"graduated", "0:1.01 10:0.505 60:0.1", 60, "35.35"},
		{"graduated", "0:1.01 10:0.505 60:0.1", 61, "35.45"},
		{"graduated", "0:1 5:-", 7, "7"},
	} {
		p := &Prices{Tiers: tiers(row.tiers), Graduated: strings.TrimSpace(row.how) == "graduated"}
		bound := Inclusive
		if row.how == "exclusive" {
			bound = Exclusive
		}
		got := Month([]Units{{Quantity: row.quantity, Prices: p}}, bound)[0]
		if got.Amount.String() != row.want {
			t.Errorf("%s %6d of %s: got %s, want %s", row.how, row.quantity, row.tiers, got.Amount,
				row.want)
		}
	}
}

// TestMonthOfSeveralEntries: a whole-volume list asks for the sum of all entries, a graduated one
// for the place of each, also behind units of another list (B16).
func TestMonthOfSeveralEntries(t *testing.T) {
	list := &Prices{Tiers: tiers("0:1 10:0.5")}
	contract := &Prices{Tiers: tiers("0:1 10:0.5"), Graduated: true}
	units := []Units{{Quantity: 8, Prices: list}, {Quantity: 5, Prices: contract},
		{Quantity: 2, Prices: list}}
	rated := Month(units, Inclusive)
	for i, want := range []string{"4", "3.5", "1"} { // 8 x 0.5; 2 x 1 + 3 x 0.5; 2 x 0.5
		if rated[i].Amount.String() != want {
			t.Errorf("entry %d: got %s, want %s", i, rated[i].Amount, want)
		}
	}
}

func TestDiscountsMultiplyThePrice(t *testing.T) {
	p := &Prices{Tiers: tiers(face),
		Factors: []Factor{{ID: "2021-02", Value: decimal.RequireFromString("0.9")}}}
	got := Month([]Units{{Quantity: 1000, Prices: p}}, Inclusive)[0]
	if got.Amount.String() != "765" || got.Pieces[0].UnitPrice.String() != "0.765" {
		t.Errorf("got %s at %s", got.Amount, got.Pieces[0].UnitPrice)
	}
}

func TestCheckTiers(t *testing.T) {
	for _, bad := range []string{"", "1:0.5", "0:1 0:2", "0:1 10:1 5:1"} {
		if CheckTiers(tiers(bad)) == nil {
			t.Errorf("tiers %q are accepted", bad)
		}
	}
	if err := CheckTiers(tiers(face)); err != nil {
		t.Error(err)
	}
}

func BenchmarkMonth(b *testing.B) {
	p := &Prices{Tiers: tiers(face)}
	units := make([]Units, 31)
	for i := range units {
		units[i] = Units{Quantity: 1000, Prices: p}
	}
	for b.Loop() {
		Month(units, Inclusive)
	}
}
