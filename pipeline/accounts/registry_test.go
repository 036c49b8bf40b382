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
	r := accounts.New()
	n := int64(0)
	for _, row := range []struct {
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
	} {
		n++
		ev := billing.AccountEvent{EventID: row.id, Type: billing.EventType(row.kind),
			AccountID: row.account, Arrival: billing.Arrival{Offset: n}, TagName: "idcard"}
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
		got := ""
		for _, d := range r.Admit(cat, ev) {
			word := string(d.Verdict)
			if d.Refusal != nil {
				word = string(d.Refusal.Reason)
			}
			if got != "" {
				got += " "
			}
			got += word
		}
		if got != row.want {
			t.Errorf("%s %s of %s: got %q, want %q", row.id, row.kind, row.account, got, row.want)
		}
	}
	for id, want := range map[string]string{"acme": "acme", "s1": "acme", "s2": "bolt", "s3": ""} {
		if got, _ := r.Main(id); got != want {
			t.Errorf("%s belongs to %q, want %q", id, got, want)
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
		r.Admit(cat, billing.AccountEvent{EventID: "o" + account, Type: billing.AccountOpened,
			AccountID: account})
		r.Admit(cat, billing.AccountEvent{EventID: fmt.Sprint("v", i), Type: billing.UsageVoided,
			AccountID: account, CallIDs: []string{"c", "d" + account}})
	}
	if !r.Voided("acme", "c") || !r.Voided("bolt", "c") || r.Voided("bolt", "dacme") {
		t.Error("an account's void reached another account's call")
	}
}
