package catalog

import (
	"fmt"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // the zone of a bill must not depend on the machine that makes it

	"go.yaml.in/yaml/v3"

	"tollstream/pipeline/billing"
)

// packageOrder is the only order of deduction that the rating knows (B10).
var packageOrder = []string{"free_first", "earliest_end", "earliest_delivery", "package_id"}

func (l *loader) settings(n *yaml.Node) {
	f := l.Fields(n, "settings", "zone", "close_clock", "clock_margin", "earliest",
		"future_tolerance", "package_years", "package_order", "refund_days", "refunds_since",
		"tier_lower_bound", "price_fallback", "above_top_tier", "rounding_places", "rounding_mode",
		"suspend_after", "rule_version", "note")
	s := &l.cat.Settings
	s.Zone = l.zone(f.Need("zone"))
	s.CloseClock = l.clock(f.Need("close_clock"))
	s.ClockMargin = l.Duration(f.Need("clock_margin"))
	if d := l.Day(f.Need("earliest")); d != nil {
		s.Earliest = d.Start(s.Zone)
	}
	s.FutureTolerance = instantOf(l.Duration(f.Need("future_tolerance")))
	s.PackageYears = int(l.small(f.Need("package_years"), 1, 100))
	order := f.Need("package_order")
	s.PackageOrder = l.Texts(order, "package_order")
	if order != nil && !slices.Equal(s.PackageOrder, packageOrder) {
		l.Fault(order, "an order of deduction that is not known",
			"use ["+strings.Join(packageOrder, ", ")+"]")
	}
	s.RefundDays = int(l.small(f.Need("refund_days"), 0, 3660))
	if d := l.Day(f.Need("refunds_since")); d != nil {
		s.RefundsSince = *d
	}
	s.TierLowerBound = l.OneOf(f.Need("tier_lower_bound"), "lower bound", "inclusive", "exclusive")
	for _, item := range l.Items(f.Need("price_fallback"), "price_fallback") {
		s.PriceFallback = append(s.PriceFallback, l.cohort(item.At, item.Key))
	}
	s.AboveTopTier = l.OneOf(f.Need("above_top_tier"), "rule", "last_price")
	s.RoundingPlaces = int32(l.small(f.Need("rounding_places"), 0, 8))
	s.RoundingMode = l.OneOf(f.Need("rounding_mode"), "rounding", "half_up_away_from_zero")
	s.SuspendAfter = instantOf(l.Duration(f.Need("suspend_after")))
	s.RuleVersion = int(l.small(f.Need("rule_version"), 1, 1000))
}

func instantOf(d time.Duration) billing.Instant { return billing.Instant(d / time.Microsecond) }

func (l *loader) small(n *yaml.Node, least, most int64) int64 {
	v := l.Int(n, least)
	if v > most {
		l.Fault(n, fmt.Sprintf("%d is above %d", v, most), "lower it")
		return most
	}
	return max(v, least)
}

func (l *loader) zone(n *yaml.Node) *time.Location {
	name := l.Text(n)
	if name == "" {
		return time.UTC
	}
	zone, err := time.LoadLocation(name)
	if err != nil || name == "Local" {
		l.Fault(n, fmt.Sprintf("unknown zone %q", name), "use an IANA name such as Asia/Shanghai")
		return time.UTC
	}
	return zone
}

func (l *loader) clock(n *yaml.Node) time.Duration {
	s := l.Text(n)
	if s == "" {
		return 0
	}
	t, err := time.Parse("15:04", s)
	if err != nil {
		l.Fault(n, fmt.Sprintf("%q is not a time of day", s), `write it as "08:00"`)
		return 0
	}
	return time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute
}
