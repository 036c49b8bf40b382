package closing

import (
	"fmt"
	"strings"
	"testing"

	"github.com/shopspring/decimal"

	"tollstream/pipeline/billing"
)

// TestRestate follows what is said of one account's status while news of it comes in. A row gives
// the money known then, as instant:amount with hours as instants, how far time has come, and the
// records that are said: the status, from when, the balance, and what it corrects or withdraws.
func TestRestate(t *testing.T) {
	const day = 24 * billing.Hour
	for _, story := range []struct {
		name string
		news []struct{ money, through, says string }
	}{
		{"a purchase brings arrears, and time suspends", rows(
			"10:-5           | 10 | in_arrears@10=-5",
			"10:-5           | 33 | ",
			"10:-5           | 34 | suspended@34=-5",
			"10:-5           | 90 | ",
		)},
		{"a top-up reactivates when it arrives", rows(
			"10:-5           | 12 | in_arrears@10=-5",
			"10:-5 13:+7     | 12 | ",
			"10:-5 13:+7     | 13 | active@13=2",
		)},
		{"money of an earlier time withdraws what was said", rows(
			"10:-5           | 12 | in_arrears@10=-5",
			"9:+5 10:-5      | 12 | withdraw in_arrears@10: active=0",
			"9:+5 10:-5      | 20 | ",
		)},
		{"what holds after the first difference is said again", rows(
			"10:-5           | 40 | in_arrears@10=-5 suspended@34=-5",
			"10:-5 30:+9     | 40 | active@30=4 withdraw suspended@34: active=4",
			"8:-1 10:-5 30:+9 | 40 | in_arrears@8=-1 withdraw in_arrears@10: in_arrears=-6 "+
				"active@30=3 for active@30",
		)},
		{"another balance is a correction too", rows(
			"10:-5           | 12 | in_arrears@10=-5",
			"10:-6           | 12 | in_arrears@10=-6 for in_arrears@10",
		)},
	} {
		t.Run(story.name, func(t *testing.T) {
			var said []billing.StatusChange
			for i, n := range story.news {
				a := &Account{ID: "acme", Status: billing.Active}
				for _, m := range strings.Fields(n.money) {
					at, amount, _ := strings.Cut(m, ":")
					a.move(Move{At: hours(t, at), Amount: decimal.RequireFromString(amount), Kind: "m"})
				}
				got, _ := a.Restate(said, 0, hours(t, n.through), day, fmt.Sprint("news", i))
				if text := describe(got); text != strings.TrimSpace(n.says) {
					t.Errorf("%s, through %s:\n got %s\nwant %s", n.money, n.through, text, n.says)
				}
				said = believed(append(said, got...))
			}
		})
	}
}

func rows(lines ...string) (out []struct{ money, through, says string }) {
	for _, l := range lines {
		f := strings.Split(l, "|")
		out = append(out, struct{ money, through, says string }{
			strings.TrimSpace(f[0]), strings.TrimSpace(f[1]), strings.TrimSpace(f[2])})
	}
	return out
}

func hours(t *testing.T, s string) billing.Instant {
	t.Helper()
	d, err := decimal.NewFromString(s)
	if err != nil {
		t.Fatal(err)
	}
	return billing.Instant(d.IntPart()) * billing.Hour
}

// believed is what a reader of the records holds for true: those that no other one corrects.
func believed(all []billing.StatusChange) (out []billing.StatusChange) {
	corrected := map[string]bool{}
	for _, c := range all {
		corrected[c.Corrects] = true
	}
	for _, c := range all {
		if !corrected[c.EventID] && !c.Withdraws {
			out = append(out, c)
		}
	}
	return out
}

func describe(list []billing.StatusChange) string {
	var out []string
	for _, c := range list {
		at := c.EffectiveAt / billing.Hour
		short := func(id string) string { // acme/status/<instant>/<status>@<trigger>
			status, _, _ := strings.Cut(id[strings.LastIndex(id[:strings.Index(id, "@")], "/")+1:], "@")
			return fmt.Sprintf("%s@%d", status, at)
		}
		switch {
		case c.Withdraws:
			out = append(out, fmt.Sprintf("withdraw %s: %s=%s", short(c.Corrects), c.Status, c.Balance))
		case c.Corrects != "":
			out = append(out, fmt.Sprintf("%s@%d=%s for %s", c.Status, at, c.Balance, short(c.Corrects)))
		default:
			out = append(out, fmt.Sprintf("%s@%d=%s", c.Status, at, c.Balance))
		}
	}
	return strings.Join(out, " ")
}
