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
	if sdk.Version == "" || len(c.SDKMinimums) == 0 {
		return false
	}
	for i := range c.SDKMinimums {
		m := &c.SDKMinimums[i]
		if day < m.From || !strings.EqualFold(m.Platform, sdk.Platform) || !m.named(sdk.Name) {
			continue
		}
		parts, ok := versionParts(sdk.Version)
		return ok && slices.Compare(parts, m.parts) < 0
	}
	return false
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
