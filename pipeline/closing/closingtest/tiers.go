package closingtest

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"tollstream/pipeline/billing"
)

var (
	tier     = regexp.MustCompile(`(\d+) (?:to (\d+)|or more)(?: at (` + number + `)| not published)`)
	tierList = regexp.MustCompile(`^(?:whole-volume|graduated by place in the month): `)
	reached  = regexp.MustCompile(`^(\d+) calls?: tier (\d+) (?:to (\d+)|or more), (` + number + `) `)
	places   = regexp.MustCompile(`calls (\d+) to (\d+) of the month: (.*) = `)
	monthHas = regexp.MustCompile(`has (\d+) postpaid calls? of `)
	listName = regexp.MustCompile(`price list [^ ,]+|by event price\.agreed .*`)
)

// bounds are a tier: a price for the calls, or the places in the month, of [first, last].
type bounds struct {
	first, last int64
	price       string // "" where none is published
}

// checkTiers finds the tiers of a line again: the one that the month's calls reach, and those of
// the places that calls take under a graduated list.
func checkTiers(l *billing.BillLine) error {
	var list []bounds
	var month int64
	lists, name := map[string][]bounds{}, "" // by the name in the step before
	for _, s := range l.Explain {
		if found := listName.FindString(s.Text); found != "" && s.Rule == "B15" {
			name, list = found, lists[found]
		}
		if m := monthHas.FindStringSubmatch(s.Text); m != nil {
			month = integer(m[1])
		}
		if found := tiersOf(s.Text); len(found) > 0 {
			list, lists[name] = found, found
		}
		if m := reached.FindStringSubmatch(s.Text); m != nil {
			if err := checkReached(list, month, m); err != nil {
				return err
			}
		}
		if m := places.FindStringSubmatch(s.Text); m != nil {
			if have, want := m[3], multiplied(list, integer(m[1]), integer(m[2])); have != want {
				return fmt.Errorf("calls %s to %s of the month are %s, not %s", m[1], m[2], want, have)
			}
		}
	}
	return nil
}

// tiersOf reads a list of tiers; a graduated one and one for the whole month look the same.
func tiersOf(text string) []bounds {
	if !tierList.MatchString(text) {
		return nil
	}
	var out []bounds
	for _, m := range tier.FindAllStringSubmatch(text, -1) {
		b := bounds{first: integer(m[1]), last: math.MaxInt64, price: m[3]}
		if m[2] != "" {
			b.last = integer(m[2])
		}
		out = append(out, b)
	}
	return out
}

// checkReached compares the tier that the steps name with the one that holds the month's calls.
func checkReached(list []bounds, month int64, m []string) error {
	price := "" // the last one published up to the month's calls
	for _, b := range list {
		if b.first <= month && b.price != "" {
			price = b.price
		}
		if b.first <= month && month <= b.last && integer(m[2]) == b.first && integer(m[1]) == month &&
			price == m[4] {
			return nil
		}
	}
	return fmt.Errorf("%d calls do not reach %q", month, m[0])
}

// multiplied writes what the places [from, to] of the month cost as products, one a price.
func multiplied(list []bounds, from, to int64) string {
	var prices []string
	quantities := map[string]int64{}
	price := "" // the last one published
	for _, b := range list {
		if b.price != "" {
			price = b.price
		}
		n := min(to, b.last) - max(from, b.first) + 1
		if n <= 0 {
			continue
		}
		if !slices.Contains(prices, price) {
			prices = append(prices, price)
		}
		quantities[price] += n
	}
	for i, p := range prices {
		prices[i] = fmt.Sprintf("%d x %s", quantities[p], p)
	}
	return strings.Join(prices, " + ")
}

func integer(digits string) int64 {
	n, _ := strconv.ParseInt(digits, 10, 64) // it matched \d+
	return n
}
