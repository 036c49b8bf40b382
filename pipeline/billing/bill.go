package billing

import "github.com/shopspring/decimal"

// LineKind says what a bill line is about. The order of the constants is the order on a bill.
type LineKind string

// The kinds of bill lines.
const (
	UsageLine          LineKind = "usage"           // this period's units at the price now reached
	TierAdjustmentLine LineKind = "tier_adjustment" // a new tier's effect on units billed before
	LateUsageLine      LineKind = "late_usage"      // units of another period than the bill's own
	CoveredLine        LineKind = "covered"         // units that a package paid
	UncoveredLine      LineKind = "uncovered"       // units without package while postpaid is off
	RoundingLine       LineKind = "rounding"        // what rounding the total to 0.01 added or took
	VoidedLine         LineKind = "voided"          // units taken back
)

// LineKinds lists the kinds in the order in which a bill shows them.
var LineKinds = [...]LineKind{
	UsageLine, TierAdjustmentLine, LateUsageLine, CoveredLine, UncoveredLine, RoundingLine,
	VoidedLine,
}

// Flags that a bill line can carry.
const (
	// FlagContractPriceMissing: the quantity lies above the last published tier and there is no
	// contract, so the last published price was used (rule B15).
	FlagContractPriceMissing = "contract_price_missing"
	// FlagOffList: the package's price or size is not on the published list (rule B8).
	FlagOffList = "package_off_list"
)

// BillLine (账单明细) is one line of a bill. Amounts are CNY and exact.
type BillLine struct {
	No        int
	Kind      LineKind
	Tag       string // tag id; "" on a rounding line
	TagName   string // published spelling
	Period    string // the day or month to which the units belong; "" on a rounding line
	Quantity  int64  // calls; negative on a voided line
	UnitPrice *decimal.Decimal
	Amount    decimal.Decimal
	PackageID string
	Flags     []string
	Explain   []Step
}

// Step is one arithmetic move that leads to a line's number, with the rule that makes it.
type Step struct {
	Rule string // "B15"
	Text string
}

// Bill (账单) is the closed result for one account and period. It is immutable.
type Bill struct {
	BillID         string // account/period
	AccountID      string
	Period         Period
	PeriodStart    Instant
	PeriodEnd      Instant
	ClosedAt       Instant
	Currency       string
	CatalogVersion string
	CatalogDigest  string
	RuleVersion    int
	Lines          []BillLine
	SubAccounts    []SubAccountUsage
	Total          decimal.Decimal
	BalanceBefore  decimal.Decimal
	BalanceAfter   decimal.Decimal
	PreviousDigest string
	Digest         string
}

// SubAccountUsage is a bill's split by the account that made the calls, for analysis (rule B2).
type SubAccountUsage struct {
	AccountID string
	Kind      LineKind
	Tag       string
	Quantity  int64
}

// BillID names the bill of an account for a period (rule B22).
func BillID(account string, p Period) string { return account + "/" + p.String() }

// Status says whether the service may run (rule B24).
type Status string

// The statuses of an account.
const (
	Active    Status = "active"
	InArrears Status = "in_arrears"
	Suspended Status = "suspended"
)

// StatusChange is one change of an account's status. Its EventID is deterministic.
type StatusChange struct {
	EventID     string
	AccountID   string
	Status      Status
	EffectiveAt Instant
	Balance     decimal.Decimal // right after the change
	Cause       string

	// A provisional record was said between closings and builds on the closing of the time BasedOn.
	// Corrects names the one that it replaces, if any; Withdraws says that nothing happened at that
	// instant after all.
	Provisional bool
	BasedOn     Instant
	Corrects    string
	Withdraws   bool
}

// LedgerEntry (分录) moves an amount between two books, so that every entry is balanced by its
// form: Credit receives what Debit gives. Amount is never negative.
type LedgerEntry struct {
	EntryID   string
	AccountID string
	At        Instant
	Kind      string // top_up, adjustment, purchase, refund, bill
	Debit     string // book that gives
	Credit    string // book that receives
	Amount    decimal.Decimal
	Cause     string // event id or bill id
}
