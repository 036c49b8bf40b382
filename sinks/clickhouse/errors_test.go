package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"testing"

	driver "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/shopspring/decimal"

	"tollstream/pipeline/billing"
)

// Faults of the connection are one line that says what to do.
func TestOpenSaysWhatToDo(t *testing.T) {
	right := newStore(t).options
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := free.Addr().String()
	_ = free.Close()
	for _, test := range []struct {
		name      string
		change    func(o *Options)
		want      []string
		transient bool
	}{
		{"wrong password", func(o *Options) { o.Password = "sesame shut" },
			[]string{"wrong user or password", `"default"`, "516"}, false},
		{"nobody listens", func(o *Options) { o.Addr = nobody },
			[]string{"ClickHouse at " + nobody, "not reachable", "8123"}, true},
		{"unknown database", func(o *Options) { o.Database = "no_such" },
			[]string{`no database "no_such"`, "run tollstream migrate"}, false},
		{"no address", func(o *Options) { o.Addr = "" }, []string{"host:port"}, false},
		{"odd database", func(o *Options) { o.Database = "a; DROP" }, []string{"letters"}, false},
	} {
		o := right
		test.change(&o)
		_, err := Open(t.Context(), o)
		if err == nil {
			t.Errorf("%s: no error", test.name)
			continue
		}
		for _, part := range test.want {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%s: %q does not say %q", test.name, err, part)
			}
		}
		if strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), o.Password) {
			t.Errorf("%s: more than a line, or the password: %q", test.name, err)
		}
		if IsTransient(err) != test.transient {
			t.Errorf("%s: IsTransient is %t: %v", test.name, !test.transient, err)
		}
	}
}

func TestMissingTablesNameMigrate(t *testing.T) {
	s := newStore(t)
	if err := s.exec(t.Context(), "spoil", "DROP TABLE closed_bills"); err != nil {
		t.Fatal(err)
	}
	_, err := s.Bills(t.Context(), BillFilter{})
	if err == nil || !strings.Contains(err.Error(), "run tollstream migrate") || IsTransient(err) {
		t.Errorf("got %v", err)
	}
}

func TestIsTransient(t *testing.T) {
	exception := func(code int32) error { return &driver.Exception{Code: code} }
	for _, test := range []struct {
		err  error
		want bool
	}{
		{nil, false},
		{context.Canceled, false},
		{fmt.Errorf("insert: %w", context.DeadlineExceeded), true},
		{io.ErrUnexpectedEOF, true},
		{&net.OpError{Op: "dial", Err: errors.New("refused")}, true},
		{exception(252), true},
		{exception(241), true},
		{exception(62), false}, // syntax
		{&driver.HTTPError{StatusCode: 503, Err: errors.New("busy")}, true},
		{&driver.HTTPError{StatusCode: 404, Err: errors.New("lost")}, false},
		{&driver.HTTPError{StatusCode: 500, Err: exception(53)}, false},
		{errors.New("anything else"), false},
	} {
		if have := IsTransient(test.err); have != test.want {
			t.Errorf("IsTransient(%v) = %t", test.err, have)
		}
	}
}

// A value that its column cannot hold exactly is an error: the driver would cut it silently.
func TestInsertRefusesWhatItCannotHold(t *testing.T) {
	s := newStore(t)
	line := func(change func(c []column)) error {
		price := decimal.RequireFromString("0.000000000000000001")
		c := []column{
			{"bill_id", []string{"a/2026-01"}}, {"account_id", []string{"a"}},
			{"closed_at", instants(1, func(int) billing.Instant { return 0 })},
			{"line_no", []uint32{1}}, {"kind", []string{"usage"}}, {"tag", []string{"t"}},
			{"tag_name", []string{"T"}}, {"period", []string{"2026-01"}},
			{"quantity", []int64{-3}}, {"unit_price", []*decimal.Decimal{&price}},
			{"amount", []decimal.Decimal{price}}, {"package_id", []string{""}},
			{"flags", [][]string{{"x"}}}, {"explain", []string{"[]"}},
		}
		change(c)
		return s.insert(t.Context(), "closed_bill_lines", c)
	}
	tooFine := decimal.RequireFromString("0.0000000000000000001")
	for _, test := range []struct {
		change func(c []column)
		want   string
	}{
		{func([]column) {}, ""},
		{func(c []column) { c[9].values = []*decimal.Decimal{nil} }, ""},
		{func(c []column) { c[9].values = []*decimal.Decimal{&tooFine} }, "18 decimal places"},
		{func(c []column) { c[10].values = []decimal.Decimal{tooFine} }, "18 decimal places"},
		{func(c []column) { c[5].values = []string{"a", "b"} }, "has 2 rows"},
		{func(c []column) { c[5].values = "a" }, "not a slice"},
		{func(c []column) { c[5].name = "nonsense" }, "no column nonsense"},
	} {
		err := line(test.change)
		if test.want == "" && err != nil ||
			test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("got %v, want %q", err, test.want)
		}
	}
	err := s.insert(t.Context(), "closed_bills", []column{{"bill_id", []string{"a"}}})
	if err == nil {
		t.Error("columns may be left out")
	}
}

// TestCutConnectionsAreToldBriefly: the driver's own text has the whole address of the request,
// with every setting in it.
func TestCutConnectionsAreToldBriefly(t *testing.T) {
	o := Options{Addr: "db:8123", Protocol: "http"}
	cut := fmt.Errorf("sendQuery: %w", &url.Error{Op: "Post",
		URL: "http://default@db:8123?compress=1&max_execution_time=14", Err: io.ErrUnexpectedEOF})
	have := o.explain("write bills", cut)
	const want = "write bills: ClickHouse at db:8123 (http): not reachable: unexpected EOF: check"
	if !strings.HasPrefix(have.Error(), want) || !errors.Is(have, io.ErrUnexpectedEOF) {
		t.Errorf("%v", have)
	}
}
