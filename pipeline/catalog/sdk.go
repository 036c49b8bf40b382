package catalog

import (
	"slices"
	"strconv"
	"strings"

	"tollstream/pipeline/billing"
)

// OutdatedSDK tells whether a client library is below the version mandated on a day. A library or
// a version that the catalogue cannot read is not called outdated.
func (c *Catalog) OutdatedSDK(sdk billing.SDK, day billing.Day) bool {
	_, below, _ := c.MandatedSDK(sdk, day)
	return below
}

// MandatedSDK gives the oldest version of a client library that is allowed on a day, "" where any
// is, and whether the library's own is below it. It is not ok for a library that the catalogue does
// not know and a version that it cannot read.
func (c *Catalog) MandatedSDK(sdk billing.SDK, day billing.Day) (least string, below, ok bool) {
	parts, readable := versionParts(sdk.Version)
	for i := range c.SDKMinimums {
		m := &c.SDKMinimums[i]
		if !strings.EqualFold(m.Platform, sdk.Platform) || !m.named(sdk.Name) {
			continue
		}
		if ok = readable; !ok || day < m.From {
			continue
		}
		return m.Version, slices.Compare(parts, m.parts) < 0, true
	}
	return "", false, ok
}

func (m *SDKMinimum) named(name string) bool {
	return m.folded[name] || m.folded[foldName(name)]
}

// foldName drops what spellings of one library's name differ in.
func foldName(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '-' || r == '_' {
			return -1
		}
		return r
	}, normalise(s))
}

// versionParts reads 4.5.4 or v4.5.4; zeros at the end do not count.
func versionParts(s string) ([]int64, bool) {
	s = strings.TrimLeft(s, "vV")
	var parts []int64
	for field := range strings.SplitSeq(s, ".") {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil || n < 0 {
			return nil, false
		}
		parts = append(parts, n)
	}
	for len(parts) > 0 && parts[len(parts)-1] == 0 {
		parts = parts[:len(parts)-1]
	}
	return parts, true
}
