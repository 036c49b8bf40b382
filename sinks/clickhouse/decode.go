package clickhouse

import (
	"encoding/json"
	"fmt"

	"github.com/shopspring/decimal"

	"tollstream/pipeline/billing"
)

// wireBill is a bill in the form of pipeline/canonical.
type wireBill struct {
	BillID         string           `json:"bill_id"`
	AccountID      string           `json:"account_id"`
	Period         string           `json:"period"`
	PeriodStart    string           `json:"period_start"`
	PeriodEnd      string           `json:"period_end"`
	ClosedAt       string           `json:"closed_at"`
	Currency       string           `json:"currency"`
	CatalogVersion string           `json:"catalog_version"`
	CatalogDigest  string           `json:"catalog_digest"`
	RuleVersion    int              `json:"rule_version"`
	Lines          []wireLine       `json:"lines"`
	SubAccounts    []wireSubAccount `json:"sub_accounts"`
	Total          decimal.Decimal  `json:"total"`
	BalanceBefore  decimal.Decimal  `json:"balance_before"`
	BalanceAfter   decimal.Decimal  `json:"balance_after"`
	PreviousDigest string           `json:"previous_digest"`
	Digest         string           `json:"digest"`
}

type wireLine struct {
	No        int              `json:"line_no"`
	Kind      billing.LineKind `json:"kind"`
	Tag       string           `json:"tag"`
	TagName   string           `json:"tag_name"`
	Period    string           `json:"period"`
	Quantity  int64            `json:"quantity"`
	UnitPrice *decimal.Decimal `json:"unit_price"`
	Amount    decimal.Decimal  `json:"amount"`
	PackageID string           `json:"package_id"`
	Flags     []string         `json:"flags"`
	Explain   []wireStep       `json:"explain"`
}

type wireStep struct {
	Rule string `json:"rule"`
	Text string `json:"text"`
}

type wireSubAccount struct {
	AccountID string           `json:"account_id"`
	Kind      billing.LineKind `json:"kind"`
	Tag       string           `json:"tag"`
	Quantity  int64            `json:"quantity"`
}

func stepsOf(wire []wireStep) []billing.Step {
	out := make([]billing.Step, len(wire))
	for i, s := range wire {
		out[i] = billing.Step(s)
	}
	return out
}

// DecodeBill reads a bill's canonical JSON. Encoding the result again gives the same bytes.
func DecodeBill(raw []byte) (*billing.Bill, error) {
	var w wireBill
	if err := json.Unmarshal(raw, &w); err != nil {
		return nil, fmt.Errorf("decode bill: %w", err)
	}
	b := &billing.Bill{
		BillID: w.BillID, AccountID: w.AccountID, Currency: w.Currency,
		CatalogVersion: w.CatalogVersion, CatalogDigest: w.CatalogDigest,
		RuleVersion: w.RuleVersion, Total: w.Total, BalanceBefore: w.BalanceBefore,
		BalanceAfter: w.BalanceAfter, PreviousDigest: w.PreviousDigest, Digest: w.Digest,
		Lines: make([]billing.BillLine, len(w.Lines)),
	}
	var err error
	if b.Period, err = billing.ParsePeriod(w.Period); err != nil {
		return nil, fmt.Errorf("decode bill %s: %w", w.BillID, err)
	}
	for _, t := range []struct {
		to   *billing.Instant
		text string
	}{{&b.PeriodStart, w.PeriodStart}, {&b.PeriodEnd, w.PeriodEnd}, {&b.ClosedAt, w.ClosedAt}} {
		if *t.to, err = billing.ParseInstant(t.text); err != nil {
			return nil, fmt.Errorf("decode bill %s: %w", w.BillID, err)
		}
	}
	for i, l := range w.Lines {
		b.Lines[i] = billing.BillLine{
			No: l.No, Kind: l.Kind, Tag: l.Tag, TagName: l.TagName, Period: l.Period,
			Quantity: l.Quantity, UnitPrice: l.UnitPrice, Amount: l.Amount,
			PackageID: l.PackageID, Flags: l.Flags, Explain: stepsOf(l.Explain),
		}
	}
	for _, sub := range w.SubAccounts {
		b.SubAccounts = append(b.SubAccounts, billing.SubAccountUsage(sub))
	}
	return b, nil
}
