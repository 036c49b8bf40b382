// Package closingtest does the sums of explanations again by hand: it reads the steps of a bill
// line as text, as a person would, and knows nothing of how they were made.
package closingtest

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/shopspring/decimal"

	"tollstream/pipeline/billing"
)

// An equation is a sum of numbers and products, as steps write it: "9 x 1 + 4 x 0.85 = 12.4".
const (
	number  = `-?\d+(?:\.\d+)?`
	product = number + `(?: x ` + number + `)*`
)

var equations = regexp.MustCompile(
	`(?:^|[ (])(` + product + `(?: [+-] ` + product + `)*) = (` + number + `)`)

// monthOf reads how many units of a month there are: the sum of up to three counts.
var monthOf = regexp.MustCompile(`has (\d+) postpaid calls? .* = (\d+) on earlier bills \+ (\d+) on ` +
	`this bill(?: - (\d+) voided)?$`)

// Equation is one sum of an explanation, with its own result.
type Equation struct {
	Rule     string
	Left     string
	Result   decimal.Decimal
	Quantity int64    // the first factors of its products
	Prices   []string // the second factors of its products
}

// Equations are the sums of some steps, in their order.
func Equations(steps []billing.Step) []Equation {
	var out []Equation
	for _, s := range steps {
		for _, m := range equations.FindAllStringSubmatch(s.Text, -1) {
			e := Equation{Rule: s.Rule, Left: m[1], Result: decimal.RequireFromString(m[2])}
			for _, term := range terms(m[1]) {
				if factors := strings.Split(term, " x "); len(factors) == 2 {
					e.Quantity += decimal.RequireFromString(factors[0]).IntPart()
					e.Prices = append(e.Prices, factors[1])
				}
			}
			out = append(out, e)
		}
	}
	return out
}

// terms splits a sum; each term carries its sign.
func terms(sum string) []string {
	sum = strings.ReplaceAll(sum, " - -", " + ")
	return strings.Split(strings.ReplaceAll(sum, " - ", " + -"), " + ")
}

func value(sum string) decimal.Decimal {
	total := decimal.Zero
	for _, term := range terms(sum) {
		p := decimal.NewFromInt(1)
		for _, f := range strings.Split(term, " x ") {
			p = p.Mul(decimal.RequireFromString(f))
		}
		total = total.Add(p)
	}
	return total
}

// Check does a line's sum again from its explanation alone and says what does not come out: every
// equation holds, tiers are those that the quantities reach, each price was said to be in force,
// the quantities add up to the line's, and the last sum is the line's amount.
func Check(l *billing.BillLine) error {
	all := Equations(l.Explain)
	for _, e := range all {
		if have := value(e.Left); !have.Equal(e.Result) {
			return fmt.Errorf("%s = %s, not %s", e.Left, have, e.Result)
		}
	}
	for _, s := range l.Explain {
		if err := checkMonth(s.Text); err != nil {
			return err
		}
	}
	if err := checkPrices(l, all); err != nil {
		return err
	}
	if err := checkTiers(l); err != nil {
		return err
	}
	return checkResult(l, all)
}

func checkMonth(text string) error {
	m := monthOf.FindStringSubmatch(text)
	if m == nil {
		return nil
	}
	var n [4]int64
	for i, digits := range m[1:] {
		if digits != "" {
			n[i] = decimal.RequireFromString(digits).IntPart()
		}
	}
	if n[0] != n[1]+n[2]-n[3] {
		return fmt.Errorf("%q does not add up", text)
	}
	return nil
}

// checkPrices looks for each price of a product in the steps before it that say what prices are.
func checkPrices(l *billing.BillLine, all []Equation) error {
	var said []string
	for _, s := range l.Explain {
		if s.Rule == "B15" {
			said = append(said, strings.FieldsFunc(s.Text, func(r rune) bool {
				return r == ' ' || r == ','
			})...)
		}
	}
	for _, e := range all {
		for _, price := range e.Prices {
			if e.Rule == "B16" && !slices.Contains(said, price) {
				return fmt.Errorf("nothing says why the price is %s in %s", price, e.Left)
			}
		}
	}
	return nil
}

// resultRules are the rules of the steps whose equations lead to the amount of a kind of line.
var resultRules = map[billing.LineKind]string{
	billing.UsageLine: "B16", billing.LateUsageLine: "B16", billing.TierAdjustmentLine: "B19",
	billing.CoveredLine: "B10", billing.UncoveredLine: "B13", billing.RoundingLine: "B17",
	billing.VoidedLine: "B27",
}

func checkResult(l *billing.BillLine, all []Equation) error {
	sum, last, quantity := decimal.Zero, decimal.Zero, int64(0)
	for _, e := range all {
		if e.Rule == resultRules[l.Kind] {
			sum, last, quantity = sum.Add(e.Result), e.Result, quantity+e.Quantity
		}
	}
	switch l.Kind {
	case billing.VoidedLine:
		last, quantity = sum.Neg(), -quantity
	case billing.CoveredLine, billing.UncoveredLine:
		last = sum
	}
	if !last.Equal(l.Amount) || quantity != l.Quantity {
		return fmt.Errorf("the steps of %s lead to %d calls and %s, the line has %d and %s",
			l.Kind, quantity, last, l.Quantity, l.Amount)
	}
	return nil
}
