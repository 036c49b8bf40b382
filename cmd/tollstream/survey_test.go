package main

import (
	"fmt"
	"reflect"
	"testing"

	"tollstream/pipeline/billing"
)

// TestSurvey counts, after a closing, accounts by status, packages that come to their end, and what
// is in quarantine.
func TestSurvey(t *testing.T) {
	w := newTestWorld(t, t.TempDir())
	f := newFeed(t, w, billing.DateOf(2023, 2, 1))
	at := f.at
	w.cfg.Settle.FirstClosing = f.day
	bought := func(account, id string, quota int, price string, delivered billing.Instant) {
		f.event(at(0, 2), "package.delivered", "buy-"+id, account, fmt.Sprintf(`,"package_id":%q,`+
			`"tag":"身份证信息核验","kind":"paid","quota":%d,"price":%q,"delivered_at":%q`,
			id, quota, price, delivered), at(0, 2))
	}
	for _, account := range []string{"acme", "bolt", "corp"} {
		f.event(at(0, 1), "account.opened", "open-"+account, account,
			fmt.Sprintf(`,"opened_at":%q`, at(0, 0)), at(0, 1))
	}
	f.event(at(0, 1), "balance.topped_up", "pay", "acme", `,"amount":"1000"`, at(0, 1))
	bought("acme", "fresh", 1000, "100", at(0, 2))
	bought("acme", "ends", 1000, "100", at(-361, 2)) // covers calls for four days more
	bought("acme", "nearly", 10, "1", at(-300, 2))
	bought("bolt", "debt", 1000, "100", at(0, 2))
	bought("bolt", "ends-2", 1000, "100", at(-361, 2))
	for i := range 1009 { // "ends" pays first, and then "nearly"
		f.call(at(0, 3), fmt.Sprint("c", i), "acme", at(0, 3))
	}
	f.call(at(0, 4), "lost", "nobody", at(0, 4))
	w.runUntil(t, at(1, 8))

	store, err := openStore(t.Context(), w.cfg, w.cat)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close() //nolint:errcheck // only read
	got, err := store.Survey(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if want := map[string]int64{"active": 2, "in_arrears": 0, "suspended": 1}; !reflect.DeepEqual(
		got.Accounts, want) {
		t.Errorf("accounts %v, want %v", got.Accounts, want)
	}
	if h := got.Quarantine["unknown_account"]; len(got.Quarantine) != 1 || h.Records != 1 ||
		!h.Oldest.Equal(at(0, 4).Time()) {
		t.Errorf("quarantine %v, want one record of %v", got.Quarantine, at(0, 4))
	}
	packages, err := store.Packages(t.Context(), f.day)
	if err != nil {
		t.Fatal(err)
	}
	if want := map[string]int64{"live": 4, "nearly_used": 1, "expiring": 1}; !reflect.DeepEqual(
		packages, want) {
		t.Errorf("packages %v, want %v", packages, want)
	}
}
