package claim

import (
	"tollstream/pipeline/accounts"
	"tollstream/pipeline/billing"
	"tollstream/pipeline/catalog"
	"tollstream/pipeline/tagging"
)

// Judge resolves a copy to its main account and tags it by a closing's catalogue (B26). Whoever
// closes, over files or over the stream, judges a copy here.
func Judge(cat *catalog.Catalog, r *accounts.Registry, rec *billing.CallRecord) Copy {
	c := Copy{Record: rec}
	main, known := r.Main(rec.AccountID)
	if !known {
		c.Refusal = billing.NotOpen(rec.AccountID)
		return c
	}
	c.Main = main
	c.Judgement = tagging.Judge(cat, cat.CohortOf(r.OpenedAt(main)), rec)
	c.Refusal = r.BillsOn(main, billing.DayOf(rec.OccurredAt, cat.Settings.Zone))
	if no := c.Judgement.NoTag; no != "" {
		c.Refusal = &billing.Refusal{Reason: billing.NoBillingTag, Detail: no}
	}
	return c
}
