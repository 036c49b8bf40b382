package main

import (
	"bytes"
	"testing"

	"tollstream/pipeline/batch"
	"tollstream/pipeline/billing"
	"tollstream/pipeline/catalog"
	"tollstream/pipeline/generate"
	"tollstream/schemas"
)

// TestSecondProductThroughTheStream runs the other catalogue, whose day is another (Europe/Berlin,
// across the change of clocks), through the whole pipeline.
func TestSecondProductThroughTheStream(t *testing.T) {
	w := newTestWorld(t, t.TempDir())
	cat, err := catalog.Parse("docscan/catalog.yaml", schemas.DocScanCatalog())
	if err != nil {
		t.Fatal(err)
	}
	w.cat, w.cfg.Catalog = cat, "../../schemas/docscan/catalog.yaml"
	g, err := generate.New(generate.Options{Seed: 3, Catalog: cat, CallPartitions: callPartitions,
		From: billing.DateOf(2026, 3, 26), To: billing.DateOf(2026, 4, 2), Accounts: 6, Calls: 3_000,
		Rates: generate.Rates{Duplicates: 0.02, Late: 0.05, Malformed: 0.005}})
	if err != nil {
		t.Fatal(err)
	}
	records := w.generated(t, g)
	w.cfg.Settle.FirstClosing = g.FirstClosing()
	want, err := batch.Run(cat, records, g.Until(), nil)
	if err != nil {
		t.Fatal(err)
	}
	w.runUntil(t, g.Until())
	if got, want := w.bills(t), billText(cat, want.Bills); !bytes.Equal(got, want) {
		t.Errorf("bills differ: %s", firstDifference(got, want))
	}
	w.checkBooks(t, want, g.Ledger())
	w.checkRebuilt(t, "--catalog", w.cfg.Catalog)
}
