// Package claim decides which copy of a call counts (rule B4). One call_id is one chargeable act,
// however often, wherever and with whatever payload it was delivered; the copy that arrived first
// claims it, among the copies that are not quarantined. A copy that waits for its account, or has
// no billing tag, claims nothing.
package claim

import (
	"slices"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/closing"
	"tollstream/pipeline/tagging"
)

// Copy is one delivered copy of a call with what is known about it at a closing.
type Copy struct {
	Record *billing.CallRecord
	// Main is the main account, "" while the account is unknown.
	Main      string
	Judgement tagging.Judgement
	// Refusal is why the copy is quarantined at this closing; nil when it may claim the call.
	Refusal *billing.Refusal
}

// Call is the call of a copy that counts, ready to be taken.
func (c *Copy) Call() closing.Call {
	return closing.Call{CallRecord: *c.Record, Judgement: c.Judgement}
}

// Winner picks, among the copies of one call_id below the barriers, the one that counts; -1 when
// all are quarantined.
func Winner(copies []Copy) int {
	winner := -1
	for i := range copies {
		if copies[i].Refusal != nil {
			continue
		}
		if winner < 0 || copies[i].Record.Arrival.Compare(copies[winner].Record.Arrival) < 0 {
			winner = i
		}
	}
	return winner
}

// Conflicts tells which copies differ from the winner in a billing field, by index.
func Conflicts(copies []Copy, winner int) []int {
	var out []int
	for i := range copies {
		if i != winner && !copies[i].Record.SameBilling(copies[winner].Record) {
			out = append(out, i)
		}
	}
	return slices.Clip(out)
}
