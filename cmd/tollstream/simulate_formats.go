package main

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strconv"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/catalog"
	"tollstream/pipeline/simulate"
	"tollstream/sinks/text"
)

var simulationFormats = map[string]func(io.Writer, *simulation) error{
	"table": simulationTable, "json": simulationJSON, "csv": simulationCSV,
}

func simulationTable(w io.Writer, s *simulation) error {
	_, err := fmt.Fprintf(w, "Closings   of %s to %s\nCatalogue  %s\n", s.from, s.to-1,
		catalogText(s.other))
	for _, cat := range s.replaced {
		if err == nil {
			_, err = fmt.Fprintf(w, "Replaces   %s\n", catalogText(cat))
		}
	}
	if err == nil {
		_, err = fmt.Fprintln(w)
	}
	if err != nil {
		return err
	}
	return text.Simulation(w, s.accounts, &s.totals, s.other.Currency)
}

func catalogText(c *catalog.Catalog) string {
	return fmt.Sprintf("%s %s (%.12s)", c.Product, c.Version, c.Digest)
}

// simulationCSV writes a row for each kind and tag of a bill; the bill's totals are their sums.
func simulationCSV(w io.Writer, s *simulation) error {
	out := csv.NewWriter(w)
	err := out.Write([]string{"account_id", "bill_id", "period", "kind", "tag", "tag_name",
		"old_calls", "new_calls", "currency", "old_amount", "new_amount", "difference"})
	for i := range s.accounts {
		a := &s.accounts[i]
		for j := range a.Bills {
			b := &a.Bills[j]
			for k := range b.Lines {
				if l := &b.Lines[k]; err == nil {
					err = out.Write([]string{a.AccountID, b.BillID, b.Period.String(), string(l.Kind),
						l.Tag, l.TagName, strconv.FormatInt(l.Old.Quantity, 10),
						strconv.FormatInt(l.New.Quantity, 10), s.other.Currency, text.Money(l.Old.Amount),
						text.Money(l.New.Amount), text.Money(l.Difference())})
				}
			}
		}
	}
	if err != nil {
		return err
	}
	out.Flush()
	return out.Error()
}

// The JSON of a simulation: one object. Amounts are decimal strings, exact, with at least two
// places.
type (
	wireSimulation struct {
		From     string        `json:"from"`
		To       string        `json:"to"` // exclusive
		Catalog  wireCatalog   `json:"catalog"`
		Replaces []wireCatalog `json:"replaces"`
		Currency string        `json:"currency"`
		Accounts []wireAccount `json:"accounts"`
		Totals   wireTotals    `json:"totals"`
	}
	wireCatalog struct {
		Product string `json:"product"`
		Version string `json:"version"`
		Digest  string `json:"digest"`
	}
	wireChange struct {
		OldCalls   int64  `json:"old_calls"`
		NewCalls   int64  `json:"new_calls"`
		Old        string `json:"old"`
		New        string `json:"new"`
		Difference string `json:"difference"`
	}
	wireAccount struct {
		AccountID string `json:"account_id"`
		wireChange
		OldStatus billing.Status `json:"old_status"`
		NewStatus billing.Status `json:"new_status"`
		Bills     []wireChanged  `json:"bills"`
	}
	wireChanged struct {
		BillID string `json:"bill_id"`
		Period string `json:"period"`
		wireChange
		Lines []wireTag `json:"lines"`
	}
	wireTag struct {
		Kind    billing.LineKind `json:"kind,omitempty"` // not of a total
		Tag     string           `json:"tag"`            // "" of rounding
		TagName string           `json:"tag_name"`
		wireChange
	}
	wireTotals struct {
		Accounts       int `json:"accounts"`
		AccountsDiffer int `json:"accounts_differ"`
		Bills          int `json:"bills"`
		BillsDiffer    int `json:"bills_differ"`
		StatusesDiffer int `json:"statuses_differ"`
		wireChange
		Tags []wireTag `json:"tags"`
	}
)

func simulationJSON(w io.Writer, s *simulation) error {
	t := &s.totals
	out := wireSimulation{From: s.from.String(), To: s.to.String(), Catalog: wireCatalogOf(s.other),
		Currency: s.other.Currency, Accounts: []wireAccount{},
		Totals: wireTotals{Accounts: t.Accounts, AccountsDiffer: t.AccountsDiffer, Bills: t.Bills,
			BillsDiffer: t.BillsDiffer, StatusesDiffer: t.StatusesDiffer,
			wireChange: wireChangeOf(&t.Change), Tags: []wireTag{}}}
	for _, cat := range s.replaced {
		out.Replaces = append(out.Replaces, wireCatalogOf(cat))
	}
	for i := range s.accounts {
		out.Accounts = append(out.Accounts, wireAccountOf(&s.accounts[i]))
	}
	for i := range t.Tags {
		x := &t.Tags[i]
		out.Totals.Tags = append(out.Totals.Tags, wireTag{Tag: x.Tag, TagName: x.TagName,
			wireChange: wireChangeOf(&x.Change)})
	}
	return json.NewEncoder(w).Encode(&out)
}

func wireAccountOf(a *simulate.Account) wireAccount {
	out := wireAccount{AccountID: a.AccountID, wireChange: wireChangeOf(&a.Change),
		OldStatus: a.OldStatus, NewStatus: a.NewStatus, Bills: []wireChanged{}}
	for i := range a.Bills {
		b := &a.Bills[i]
		bill := wireChanged{BillID: b.BillID, Period: b.Period.String(),
			wireChange: wireChangeOf(&b.Change), Lines: []wireTag{}}
		for j := range b.Lines {
			l := &b.Lines[j]
			bill.Lines = append(bill.Lines, wireTag{Kind: l.Kind, Tag: l.Tag, TagName: l.TagName,
				wireChange: wireChangeOf(&l.Change)})
		}
		out.Bills = append(out.Bills, bill)
	}
	return out
}

func wireCatalogOf(c *catalog.Catalog) wireCatalog {
	return wireCatalog{Product: c.Product, Version: c.Version, Digest: c.Digest}
}

func wireChangeOf(c *simulate.Change) wireChange {
	return wireChange{OldCalls: c.Old.Quantity, NewCalls: c.New.Quantity,
		Old: text.Money(c.Old.Amount), New: text.Money(c.New.Amount),
		Difference: text.Money(c.Difference())}
}
