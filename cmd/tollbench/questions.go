package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os/exec"
	"strings"
	"time"

	"tollstream/deploy/grafana"
	"tollstream/pipeline/billing"
	rows "tollstream/pipeline/stored"
	"tollstream/sinks/clickhouse"
)

// question is something that is asked of the database. It gives how many rows or lines came.
type question struct {
	name string
	// some says that an answer without a row is a fault.
	some bool
	ask  func(ctx context.Context) (int, error)
}

// someone is an account with its last bill and the line on it that has most calls.
type someone struct {
	account, bill string
	line          int
}

// questions are those of the dashboards, of the commands on bills and of the HTTP API: for the
// largest account that has monthly bills, and for one in the middle.
func (f *filled) questions(ctx context.Context, m *meter, program string) ([]question, error) {
	var list []question
	for i, who := range []string{"largest", "middle"} {
		account := 1 + 6*i*(f.Accounts/12) // 1 modulo 6: with monthly bills; the first has a package
		s, err := f.someone(ctx, fmt.Sprint(1_300_000_000+account))
		if err != nil {
			return nil, fmt.Errorf("look for the %s account: %w", who, err)
		}
		panels, err := f.panels(m, s.account)
		if err != nil {
			return nil, err
		}
		for _, p := range panels {
			if accountPage := strings.HasPrefix(p.name, "account: "); accountPage {
				p.name += " (" + who + ")"
			} else if i > 0 {
				continue // does not depend on the account
			}
			list = append(list, p)
		}
		list = append(list, f.commands(m, program, s, who)...)
		calls, err := f.api(ctx, m, s, who)
		if err != nil {
			return nil, err
		}
		list = append(list, calls...)
	}
	return list, nil
}

func (f *filled) someone(ctx context.Context, account string) (someone, error) {
	s := someone{account: account}
	err := f.conn.QueryRow(ctx, `SELECT bill_id FROM bills WHERE account_id = ?
		ORDER BY closed_at DESC LIMIT 1`, account).Scan(&s.bill)
	if err != nil {
		return s, fmt.Errorf("the last bill of %s: %w", account, err)
	}
	var no uint32
	err = f.conn.QueryRow(ctx, `SELECT line_no FROM bill_lines WHERE account_id = ? AND bill_id = ?
		ORDER BY quantity DESC LIMIT 1`, account, s.bill).Scan(&no)
	s.line = int(no)
	return s, err
}

// panels are asked as the dashboards' user asks, over the thirty days up to the end of the open
// one.
func (f *filled) panels(m *meter, account string) ([]question, error) {
	to := (firstDay + billing.Day(f.Days)).At(24*time.Hour-time.Second, shanghai).Time()
	list, err := grafana.Questions(to.AddDate(0, 0, -30), to, account)
	if err != nil {
		return nil, err
	}
	var out []question
	for _, q := range list {
		name := strings.TrimPrefix(q.Page, "tollstream-") + ": " + q.Title
		out = append(out, question{name: name, some: !q.Empty,
			ask: func(ctx context.Context) (int, error) { return askPanel(ctx, m.address, q.SQL) }})
	}
	return append(out, question{name: "variable: accounts", some: true,
		ask: func(ctx context.Context) (int, error) {
			return askPanel(ctx, m.address, grafana.AccountsSQL)
		}}), nil
}

// askPanel asks over HTTP, and gives the number of rows.
func askPanel(ctx context.Context, address, sql string) (int, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+address+
		"/?database="+benchDatabase+"&readonly=2", strings.NewReader(sql+"\nFORMAT JSONCompact"))
	if err != nil {
		return 0, err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close() //nolint:errcheck // only read
	var text bytes.Buffer
	if _, err := text.ReadFrom(answer.Body); err != nil {
		return 0, err
	}
	if answer.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("ClickHouse: %s: %s", answer.Status, text.String())
	}
	var body struct{ Data []json.RawMessage }
	err = json.Unmarshal(text.Bytes(), &body)
	return len(body.Data), err
}

// commands are asked with the program, its start included.
func (f *filled) commands(m *meter, program string, s someone, who string) []question {
	line := fmt.Sprint(s.line)
	var list []question
	for _, args := range [][]string{
		{"bills", "list", "--account", s.account},
		{"bills", "show", s.bill},
		{"bills", "explain", s.bill},
		{"bills", "explain", s.bill, line, "--calls"},
	} {
		name := "command: " + strings.Join(args[:2], " ")
		if len(args) > 4 {
			name += " --calls"
		}
		list = append(list, f.command(m, program, name+" ("+who+")", args))
	}
	if who == "largest" { // does not depend on the account
		list = append(list, f.command(m, program, "command: bills list", []string{"bills", "list"}))
	}
	return list
}

func (f *filled) command(m *meter, program, name string, args []string) question {
	return question{name: name, some: true, ask: func(ctx context.Context) (int, error) {
		var out, errors bytes.Buffer
		c := exec.CommandContext(ctx, program, append(args, "--clickhouse.addr", m.address,
			"--clickhouse.database", benchDatabase)...)
		c.Stdout, c.Stderr = &out, &errors
		if err := c.Run(); err != nil {
			return 0, fmt.Errorf("%w: %s", err, errors.String())
		}
		return bytes.Count(out.Bytes(), []byte("\n")), nil
	}}
}

// api is what the HTTP API asks of the store; its handlers only write it down.
func (f *filled) api(ctx context.Context, m *meter, s someone, who string) ([]question, error) {
	store, err := f.storeAt(ctx, m.address)
	if err != nil {
		return nil, err
	}
	calls := question{name: "API: calls of a line, 1000 of them (" + who + ")", some: true,
		ask: func(ctx context.Context) (n int, err error) {
			b, err := store.Bill(ctx, s.bill)
			if err != nil {
				return 0, err
			}
			l := &b.Lines[s.line-1]
			logs, err := store.LineLogs(ctx, b, l)
			if err != nil {
				return 0, err
			}
			var all int64
			for i := range logs {
				all += logs[i].Calls
			}
			if all != l.Quantity {
				return 0, fmt.Errorf("line %d of %s says %d calls and has %d", l.No, s.bill,
					l.Quantity, all)
			}
			return n, store.EachLineCall(ctx, b, l, 1000, func(*rows.LineCall) error {
				n++
				return nil
			})
		}}
	list := []question{calls, {name: "API: a bill (" + who + ")", some: true,
		ask: func(ctx context.Context) (int, error) {
			raw, err := store.BillJSON(ctx, s.bill)
			return min(len(raw), 1), err
		}}}
	bills := func(name string, filter clickhouse.BillFilter) {
		list = append(list, question{name: name, some: true,
			ask: func(ctx context.Context) (n int, err error) {
				return n, store.EachBill(ctx, filter, func([]byte) error { n++; return nil })
			}})
	}
	last := firstDay + billing.Day(f.Days)
	bills("API: bills of an account ("+who+")",
		clickhouse.BillFilter{Account: s.account, Limit: 1000})
	if who == "largest" { // do not depend on the account
		bills("API: daily bills of a week, up to 1000",
			clickhouse.BillFilter{Cycle: billing.Daily, From: last - 8, To: last, Limit: 1000})
		bills("API: the first 1000 bills", clickhouse.BillFilter{Limit: 1000})
		list = append(list, question{name: "API: closings", some: true,
			ask: func(ctx context.Context) (int, error) {
				all, err := store.Settlements(ctx)
				return len(all), err
			}})
		list = append(list, f.closing(store)...)
	}
	return list, nil
}

// closing is what a closing reads of those before it, beside its calls.
func (f *filled) closing(store *clickhouse.Store) []question {
	last := closedAt(firstDay + billing.Day(f.Days) - 1)
	ids := make([]string, f.Accounts)
	for i := range ids {
		ids[i] = fmt.Sprint(1_300_000_000 + i)
	}
	return []question{
		{name: fmt.Sprintf("closing: the states of %d accounts", f.Accounts), some: true,
			ask: func(ctx context.Context) (int, error) {
				states, err := store.States(ctx, ids, last+billing.Hour)
				return len(states), err
			}},
		{name: "closing: the bills that it publishes", some: true,
			ask: func(ctx context.Context) (n int, err error) {
				return n, store.BillsOf(ctx, last, 1000, func(bills []rows.BillText) error {
					n += len(bills)
					return nil
				})
			}},
	}
}
