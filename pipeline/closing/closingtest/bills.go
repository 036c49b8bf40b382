package closingtest

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/shopspring/decimal"

	"tollstream/pipeline/billing"
)

var charged = regexp.MustCompile(
	`^bill (.+) charged -?\d+ calls? of (\d{4}-\d{2}): (` + number + `)$`)

// CheckBills does the sums of all lines of some bills again, with every bill in one's hands:
// what a line says that an earlier bill charged is what the lines of that bill sum to.
func CheckBills(bills []*billing.Bill) error {
	byID := map[string]*billing.Bill{}
	for _, b := range bills {
		byID[b.BillID] = b
		for i := range b.Lines {
			l := &b.Lines[i]
			err := Check(l)
			for _, s := range l.Explain {
				if m := charged.FindStringSubmatch(s.Text); m != nil && err == nil {
					err = checkCharged(byID[m[1]], l.Tag, m)
				}
			}
			if err != nil {
				return fmt.Errorf("bill %s, line %d: %w", b.BillID, l.No, err)
			}
		}
	}
	return nil
}

func checkCharged(b *billing.Bill, tag string, m []string) error {
	if b == nil {
		return fmt.Errorf("%q: there is no such bill before it", m[0])
	}
	sum := decimal.Zero
	for i := range b.Lines {
		if l := &b.Lines[i]; l.Tag == tag && strings.HasPrefix(l.Period, m[2]) {
			sum = sum.Add(l.Amount)
		}
	}
	if sum.String() != m[3] {
		return fmt.Errorf("%q: the lines of that bill sum to %s", m[0], sum)
	}
	return nil
}
