package stored

import (
	"github.com/shopspring/decimal"

	"tollstream/pipeline/billing"
)

// Bill is a bill as the store has it, twice over: as canonical JSON, and as rows.
type Bill struct {
	JSON  []byte
	Row   *billing.Bill // without sub-accounts, which only the JSON has
	Lines int           // the number of lines that the bill's row gives
}

// BillText is a bill as it is published: its canonical JSON, and what is asked of it besides.
type BillText struct {
	BillID, AccountID, Period, Currency string
	Total                               decimal.Decimal
	JSON                                []byte
}
