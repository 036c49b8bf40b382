package accounts_test

import (
	"fmt"
	"testing"

	"tollstream/pipeline/accounts"
	"tollstream/pipeline/billing"
	"tollstream/pipeline/catalog"
	"tollstream/schemas"
)

// A row is an event in a few words and what becomes of it and of events that it sets free.
func TestWhoIsWho(t *testing.T) {
	cat, err := catalog.Parse("faceid/catalog.yaml", schemas.FaceIDCatalog())
	if err != nil {
		t.Fatal(err)
	}
	rows := []struct {
		id, kind, account, more string
		want                    string
	}{
		{"e1", "balance.topped_up", "acme", "", "unknown_account"},
		{"e2", "sub_account.added", "acme", "s1", "unknown_account"},
		{"e3", "account.opened", "acme", "100", "accepted accepted accepted"},
		{"e3", "account.opened", "acme", "100", "duplicate"},           // the same event
		{"e4", "account.opened", "acme", "100", "duplicate"},           // says what is known
		{"e5", "account.opened", "acme", "200", "opened_twice"},        // contradicts it
		{"e1", "balance.topped_up", "acme", "", "duplicate"},           // its id acted already
		{"e6", "balance.topped_up", "s1", "", "is_sub_account"},        // sub-accounts have no events
		{"e7", "account.opened", "s1", "100", "is_sub_account"},        // nor openings
		{"e8", "account.opened", "bolt", "100", "accepted"},            //
		{"e9", "sub_account.added", "bolt", "s1", "sub_account_taken"}, // claimed by acme
		{"f1", "sub_account.added", "bolt", "acme", "sub_account_taken"},
		{"f2", "sub_account.added", "acme", "s1", "duplicate"},
		{"f3", "package.delivered", "acme", "p", "accepted"},
		{"f4", "package.delivered", "acme", "p", "package_id_taken"},
		{"f5", "package.delivered", "bolt", "p", "accepted"}, // ids are unique per account
		{"f6", "price.agreed", "bolt", "no such tag", "unknown_tag"},
		{"f6", "price.agreed", "bolt", "idcard", "accepted"}, // what was refused claims no id
		{"f7", "balance.topped_up", "s2", "", "unknown_account"},
		{"f8", "sub_account.added", "bolt", "s2", "accepted is_sub_account"},
		{"g1", "account.closed", "bolt", "", "accepted"},
	}
	event := func(i int) *billing.AccountEvent {
		row := rows[i]
		ev := &billing.AccountEvent{EventID: row.id, Type: billing.EventType(row.kind),
			AccountID: row.account, Arrival: billing.Arrival{Offset: int64(i)}, TagName: "idcard"}
		switch ev.Type {
		case billing.AccountOpened:
			_, _ = fmt.Sscan(row.more, &ev.OpenedAt)
		case billing.SubAccountAdded:
			ev.SubAccountID = row.more
		case billing.PackageDelivered:
			ev.PackageID = row.more
		case billing.PriceAgreed:
			ev.TagName = row.more
		}
		return ev
	}
	admit := func(r *accounts.Registry, i int) string {
		got := ""
		for _, d := range r.Admit(cat, event(i)) {
			word := string(d.Verdict)
			if d.Refusal != nil {
				word = string(d.Refusal.Reason)
			}
			if got != "" {
				got += " "
			}
			got += word
		}
		return got
	}
	ids := map[string]string{"acme": "acme", "s1": "acme", "s2": "bolt", "s3": ""}
	// Whoever goes on from a registry says what it would have said itself, and changes nothing there.
	for split := range rows {
		r := accounts.New()
		for i := range split {
			admit(r, i)
		}
		ahead := r.Ahead()
		for i := split; i < len(rows); i++ {
			if got := admit(ahead, i); got != rows[i].want {
				t.Errorf("ahead from %d on, %v: got %q", split, rows[i], got)
			}
		}
		for i := split; i < len(rows); i++ {
			if got := admit(r, i); got != rows[i].want {
				t.Errorf("after one went ahead from %d on, %v: got %q", split, rows[i], got)
			}
		}
		for id, want := range ids {
			here, _ := r.Main(id)
			if there, _ := ahead.Main(id); here != want || there != want {
				t.Errorf("%s belongs to %q, ahead to %q, want %q", id, here, there, want)
			}
		}
		if ahead.BillsOn("bolt", 99_999) == nil || ahead.BillsOn("acme", 99_999) != nil {
			t.Errorf("ahead from %d on: bolt is not closed, or acme is", split)
		}
	}
}

// A void counts for the account that speaks it, whoever else names the same call (B27).
func TestVoidsAreOnesOwn(t *testing.T) {
	cat, err := catalog.Parse("faceid/catalog.yaml", schemas.FaceIDCatalog())
	if err != nil {
		t.Fatal(err)
	}
	r := accounts.New()
	for i, account := range []string{"acme", "bolt"} {
		r.Admit(cat, &billing.AccountEvent{EventID: "o" + account, Type: billing.AccountOpened,
			AccountID: account})
		r.Admit(cat, &billing.AccountEvent{EventID: fmt.Sprint("v", i), Type: billing.UsageVoided,
			AccountID: account, CallIDs: []string{"c", "d" + account}})
	}
	if !r.Voided("acme", "c") || !r.Voided("bolt", "c") || r.Voided("bolt", "dacme") {
		t.Error("an account's void reached another account's call")
	}
}
