package billing

import "github.com/shopspring/decimal"

// EventType names what an account event does.
type EventType string

// The types of account events (topic billing.account-events).
const (
	AccountOpened    EventType = "account.opened"
	SubAccountAdded  EventType = "sub_account.added"
	PackageDelivered EventType = "package.delivered"
	PackageRefunded  EventType = "package.refunded"
	PostpaidDisabled EventType = "postpaid.disabled"
	PostpaidEnabled  EventType = "postpaid.enabled"
	BalanceToppedUp  EventType = "balance.topped_up"
	BalanceAdjusted  EventType = "balance.adjusted"
	UsageVoided      EventType = "usage.voided"
	PriceAgreed      EventType = "price.agreed"
	AccountClosed    EventType = "account.closed"
	CatalogCorrected EventType = "catalog.corrected"
)

// AccountEvent is one well-formed record of the account-events topic. Fields that its type does
// not use are zero.
type AccountEvent struct {
	EventID     string
	Type        EventType
	AccountID   string
	EffectiveAt Instant
	Arrival     Arrival

	OpenedAt     Instant         // account.opened
	Name         string          // account.opened, optional
	SubAccountID string          // sub_account.added
	PackageID    string          // package.delivered, package.refunded
	TagName      string          // package.delivered, price.agreed, catalog.corrected: id or spelling
	Free         bool            // package.delivered: kind is free
	Quota        int64           // package.delivered, calls
	Price        decimal.Decimal // package.delivered, CNY
	DeliveredAt  Instant         // package.delivered
	Amount       decimal.Decimal // balance.topped_up (> 0), balance.adjusted (not 0), CNY
	CallIDs      []string        // usage.voided
	Reason       string          // usage.voided, balance.adjusted, catalog.corrected
	From         Day             // price.agreed, catalog.corrected, inclusive
	To           Day             // the same, exclusive; 0 means open
	Graduated    bool            // price.agreed: mode is graduated
	Tiers        []Tier          // price.agreed
}

// Tier is one step of a price list: the unit price from a quantity on. The bound is inclusive
// unless the catalogue's setting says otherwise (rule B15, ambiguity A2).
type Tier struct {
	From  int64
	Price decimal.Decimal
	// Unpublished marks a step for which there is no list price ("contact sales"); the price is
	// then the one of the step before, and the line is flagged.
	Unpublished bool
}
