// Package report makes the reports that are neither bills nor books.
package report

import (
	"cmp"
	"slices"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/catalog"
)

// SDKUse is how often an account called on a day with one version of a client library.
type SDKUse struct {
	AccountID string // the main account; as received while that is unknown
	SDK       billing.SDK
	Day       billing.Day
	Calls     int64
}

// SDKs are the calls with client libraries below the versions that the catalogue mandates.
type SDKs struct {
	Calls    int64         `json:"calls"`    // that name a library or a version
	Unjudged int64         `json:"unjudged"` // of which the catalogue knows no such library or version
	Outdated []OutdatedSDK `json:"outdated"` // by account, most calls first
}

// OutdatedSDK is one version of one library at one account.
type OutdatedSDK struct {
	AccountID string `json:"account_id"`
	Platform  string `json:"platform"`
	Name      string `json:"name"`
	Version   string `json:"version"`
	Mandated  string `json:"mandated"` // the oldest version that was allowed on those days
	Calls     int64  `json:"calls"`
	FirstDay  string `json:"first_day"` // YYYY-MM-DD, as all days in the catalogue's zone
	LastDay   string `json:"last_day"`
}

// OfSDKs makes the report. Each day is judged by what was mandated on it.
func OfSDKs(cat *catalog.Catalog, uses []SDKUse) *SDKs {
	r := &SDKs{Outdated: []OutdatedSDK{}}
	type key struct {
		account, mandated string
		sdk               billing.SDK
	}
	places := map[key]int{}
	for _, u := range uses {
		r.Calls += u.Calls
		least, below, ok := cat.MandatedSDK(u.SDK, u.Day)
		if !ok {
			r.Unjudged += u.Calls
		}
		if !below {
			continue
		}
		k := key{u.AccountID, least, u.SDK}
		at, there := places[k]
		if !there {
			at = len(r.Outdated)
			places[k] = at
			r.Outdated = append(r.Outdated, OutdatedSDK{AccountID: u.AccountID,
				Platform: u.SDK.Platform, Name: u.SDK.Name, Version: u.SDK.Version, Mandated: least,
				FirstDay: u.Day.String(), LastDay: u.Day.String()})
		}
		o := &r.Outdated[at]
		o.Calls += u.Calls
		o.FirstDay, o.LastDay = min(o.FirstDay, u.Day.String()), max(o.LastDay, u.Day.String())
	}
	slices.SortFunc(r.Outdated, func(a, b OutdatedSDK) int {
		return cmp.Or(cmp.Compare(a.AccountID, b.AccountID), cmp.Compare(b.Calls, a.Calls),
			cmp.Compare(a.Platform, b.Platform), cmp.Compare(a.Name, b.Name),
			cmp.Compare(a.Version, b.Version), cmp.Compare(a.Mandated, b.Mandated))
	})
	return r
}
