package decode

import "tollstream/pipeline/billing"

// Limits on records, each so that one record can neither fill the memory nor break a table.
const (
	recordBytesMax    = 1 << 20 // 1 MiB, the default of a Kafka broker's message.max.bytes
	callIDCharsMax    = 128
	accountIDCharsMax = 64
	eventIDCharsMax   = 128
	textCharsMax      = 256 // names, reasons, codes, dimension values
	detailBytesMax    = 512 // of what a JSON parser says
	callIDsMax        = 10_000
	tiersMax          = 64
	quotaMax          = 1_000_000_000_000 // calls; far above any package sold
	quantityMax       = 1_000_000_000_000
	amountDigitsMax   = 18 // before the point
	moneyPlacesMax    = 2  // CNY amounts are paid in whole fen
	pricePlacesMax    = 10 // unit prices
)

// TimeLimits is the range in which a record's own time must lie: [Earliest, arrival + Future].
type TimeLimits struct {
	Earliest billing.Instant
	Future   billing.Instant
}

func (l TimeLimits) check(field string, at, arrived billing.Instant) *billing.Refusal {
	switch {
	case at < l.Earliest:
		return refuse(billing.TimeOutOfRange, "%s %s is before %s", field, at, l.Earliest)
	case at > arrived+l.Future:
		return refuse(billing.TimeOutOfRange, "%s %s is more than %s after its arrival %s",
			field, at, (l.Future).Duration(), arrived)
	}
	return nil
}
