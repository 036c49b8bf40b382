package settle

import (
	"fmt"

	json "github.com/go-json-experiment/json/v1"

	"tollstream/pipeline/accounts"
	"tollstream/pipeline/billing"
	"tollstream/pipeline/catalog"
	"tollstream/pipeline/closing"
)

// account loads an account from what a closing stored, or opens it, and applies the accepted events
// that have come since.
func (l *Loop) account(
	cat *catalog.Catalog, id string, state []byte, events []*accounts.Decision,
) (*closing.Account, error) {
	var account *closing.Account
	if state != nil {
		account = &closing.Account{}
		if err := json.Unmarshal(state, account); err != nil {
			return nil, fmt.Errorf("stored state of account %s: %w", id, err)
		}
	}
	for _, d := range events {
		if d.Event.Type == billing.AccountOpened {
			account = closing.Open(cat, *d.Event)
			continue
		}
		if account == nil {
			break
		}
		account.Apply(cat, *d.Event, l.missedBy(d.Event.Arrival))
	}
	if account == nil {
		return nil, fmt.Errorf("account %s is known and has no stored state", id)
	}
	return account, nil
}
