package stored

import "tollstream/pipeline/billing"

// Bill is a bill as the store has it, twice over: as canonical JSON, and as rows.
type Bill struct {
	JSON  []byte
	Row   *billing.Bill // without sub-accounts, which only the JSON has
	Lines int           // the number of lines that the bill's row gives
}
