// Package catalog holds what a product's catalogue file says: dimensions, tags, channels, cohorts,
// dated price lists, packages, discounts, result codes and settings, all as immutable data with a
// digest. It owns reading and checking that file (parse*.go) and answering questions about it
// (which cohort, which price list on a day, which calls a package reaches). It does not judge
// calls (tagging) and does no arithmetic on quantities (rating).
package catalog

import (
	"time"

	"github.com/shopspring/decimal"

	"tollstream/pipeline/billing"
)

// TagID is the catalogue's own id of a billing tag (计费标签), free of spelling variants.
type TagID string

// Catalog is one version of one product's catalogue. It is immutable after Parse.
type Catalog struct {
	Product  string
	Version  string
	Digest   string // SHA-256 of the file's bytes, lower-case hex
	File     []byte // the file's bytes, so that a catalogue can be kept by its digest (B26)
	Currency string // ISO 4217
	Settings Settings
	Sources  map[string]Source

	Dimensions []Dimension
	// Selectors are the dimensions that choose a channel, in order: the first one present in a
	// call decides (for FaceID: channel, then action).
	Selectors []Selector
	Tags      map[TagID]*Tag
	Cohorts   []Cohort // by opening time, gap-free
	Channels  []*Channel
	Codes     map[string]*CodeTable
	// FreeActions are actions that are never charged by themselves: a call that an action alone
	// describes is then free and needs no tag (B5).
	FreeActions map[string]bool
	Prices      []*PriceList // by cohort, tag and day
	Packages    map[TagID]*PackageOffer
	Discounts   []Discount
	SDKMinimums []SDKMinimum
	FreeQuota   map[string]map[TagID]int64 // cohort -> tag -> calls, for the generator

	index index
}

// Source is a published document that an entry of the catalogue was taken from.
type Source struct{ Title, Date string }

// Dimension is one rating dimension of a call record: a field name and what it may hold.
type Dimension struct {
	Name   string
	Kind   DimensionKind
	Values []string // for Enum
}

// DimensionKind is the type of a dimension's field.
type DimensionKind string

// The kinds of dimensions.
const (
	Text DimensionKind = "text"
	Enum DimensionKind = "enum"
	Flag DimensionKind = "flag" // a JSON boolean; "true", "false" or "" in a CallRecord
)

// Selector is one way to name a channel: by its key or alias, or by one of its actions.
type Selector struct {
	Dimension string
	By        string // ByKey or ByAction

	at int
}

// The ways in which a selector's value names a channel.
const (
	ByKey    = "key"    // the value is a channel's key or alias
	ByAction = "action" // the value is an action, and one channel runs it
)

// Settings are the choices that the published documents leave open, each with its rule.
type Settings struct {
	Zone            *time.Location  // B1
	CloseClock      time.Duration   // B18: after 00:00, 08:00
	ClockMargin     time.Duration   // B21
	Earliest        billing.Instant // B7: 2018-01-01
	FutureTolerance billing.Instant // B7: 24 h
	PackageYears    int             // B8
	PackageOrder    []string        // B10: free_first, earliest_end, earliest_delivery, package_id
	RefundDays      int             // B14
	RefundsSince    billing.Day     // B14
	TierLowerBound  string          // B15, A2: "inclusive" or "exclusive"
	PriceFallback   []string        // B15, A5, A7: cohorts tried when the account's has no price
	RoundingPlaces  int32           // B17
	RoundingMode    string          // B17: "half_up_away_from_zero"
	SuspendAfter    billing.Instant // B24
	AboveTopTier    string          // B15: "last_price"
	RuleVersion     int             // of the rules themselves, part of the digest list (B22)
}

// Tag is a billing tag.
type Tag struct {
	ID     TagID
	Name   string   // the spelling printed on bills
	Names  []string // every published spelling, Name included
	Family string
	From   *billing.Day // first day on which the tag is used, where it is dated
	Until  *billing.Day // last day (inclusive)
	Source string
}

// Cohort is a group of accounts by the moment the main account opened the product (B3).
type Cohort struct {
	Name       string
	OpenedFrom billing.Instant // inclusive; math.MinInt64 for the first cohort
	Cycle      billing.Cycle
	Source     string
	PriceDoc   string
}

// Channel is a way to make calls, with the tags of each cohort over time.
type Channel struct {
	Key     string
	Aliases []string
	Actions []string
	Doc     string
	// Decides names the dimension whose value chooses the variant (compare_source); "" where the
	// channel has one variant, and the dimension is then ignored (B6).
	Decides  string
	Variants []Variant
	// Replaced lists flags that send the call to another channel's tags (intention).
	Replaced []Replacement
	// Codes lists which code table is used, first match wins; see CodeChoice.
	Codes []CodeChoice
	Note  string

	decidesAt int // position of Decides among the dimensions, -1 for none
}

// Variant is one value of the deciding dimension and its tags.
type Variant struct {
	Value string // of Channel.Decides; for a channel with one variant its fixed source, may be ""
	Tags  []TagRule
}

// TagRule gives the tags of some cohorts from a day on; the last rule whose From is not after the
// call's day holds for its cohort.
type TagRule struct {
	Cohorts  []string
	From     *billing.Day // nil: since ever
	Postpaid TagID        // "" : no tag, the call is quarantined
	Prepaid  TagID
	Legacy   TagID // the tag by which older packages still reach the call, "" where there is none
}

// Replacement sends a call with a flag set to another channel (B6: intention).
type Replacement struct {
	Dimension string
	Value     string
	Channel   string

	at     int
	target *Channel
}

// CodeChoice names the code table for a call of a channel. The last choice of a channel has no
// condition, so that every channel always has a table.
type CodeChoice struct {
	When  map[string]string // only when these dimensions have these values
	Table string

	conditions []condition
	table      *CodeTable
}

type condition struct {
	at    int
	value string
}

// CodeTable is a whitelist of charged result codes over time, and the codes known to be free.
type CodeTable struct {
	Name     string
	Field    string
	Source   string
	Versions []CodeVersion
	// KnownFree recognises codes that are published as free, so that "unknown" means unknown.
	KnownFree CodeSet

	heard map[string]bool // every code that some version charges
}

// CodeVersion is the whitelist from a day on; the first version also holds before its day.
type CodeVersion struct {
	From    *billing.Day
	Charged map[string]bool
}

// CodeSet is a set of codes by exact text, integer range and prefix.
type CodeSet struct {
	Exact    map[string]bool
	Ranges   [][2]int64 // inclusive
	Prefixes []string
}

// PriceList is what a tag costs for a cohort from a day on.
type PriceList struct {
	ID        string // stable within the catalogue, for example "A/idcard/2021-01-01"
	Cohort    string
	Tag       TagID
	From      *billing.Day // inclusive, nil: since ever
	Until     *billing.Day // inclusive, nil: open
	Graduated bool         // whole-volume (阶梯到达) when false
	Tiers     []billing.Tier
	Source    string
}

// PackageOffer is the published sizes and prices of a tag's packages and what they reach (B9).
type PackageOffer struct {
	Tag TagID
	// CoversPrepaid are the prepaid tags that such a package covers, the tag itself by default.
	CoversPrepaid []TagID
	// CoversLegacy are the legacy tags that it covers; then CoversPrepaid may be empty.
	CoversLegacy []TagID
	Prices       []PackagePrice // by day, then size
	Source       string
}

// PackagePrice is one published size and price.
type PackagePrice struct {
	From, Until *billing.Day // From inclusive, Until exclusive
	Size        int64
	Price       decimal.Decimal
}

// Discount multiplies list prices on its days (B15) or package prices.
type Discount struct {
	ID       string
	From, To billing.Day // both inclusive
	Applies  string      // Postpaid or PackageSales
	Tags     []TagID
	Factor   decimal.Decimal
	Source   string
}

// What a discount applies to.
const (
	Postpaid     = "postpaid"
	PackageSales = "packages"
)

// SDKMinimum is the oldest version of a client library that is allowed from a day on. A record's
// library is meant when its name is one of Names; case, spaces, "-" and "_" do not matter there.
type SDKMinimum struct {
	Platform string
	Names    []string
	Version  string // dotted numbers
	Released billing.Day
	From     billing.Day // inclusive
	Source   string

	parts  []int64
	folded map[string]bool // Names as foldName gives them
}
