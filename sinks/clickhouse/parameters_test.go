package clickhouse

import "testing"

// TestParametersComeBack: whatever stands in a parameter is a value, alone, in a list, and beside
// others. (That no value becomes SQL in another way is a test of pipeline/house.)
func TestParametersComeBack(t *testing.T) {
	s := newStore(t)
	nasty := []string{`'`, `\`, `\'`, `''; DROP TABLE bills --`, `?`, `$1`, `@a`, `{a:String}`, "\x00",
		"\n\t\r\b", "\xff\xfe", `%s`, "`", `"`, `/*`, `中文`, ``}
	for _, want := range nasty {
		var got, second string
		err := s.conn.QueryRow(t.Context(), "SELECT ? AS a, ? AS b", want, "x").Scan(&got, &second)
		if err != nil || got != want || second != "x" {
			t.Errorf("%q came back as %q, %v", want, got, err)
		}
		var n uint64
		err = s.conn.QueryRow(t.Context(), "SELECT countIf(x IN (?)) FROM (SELECT ? AS x)",
			nasty, want).Scan(&n)
		if err != nil || n != 1 {
			t.Errorf("%q is found %d times in the list, %v", want, n, err)
		}
		if bills, err := s.Bills(t.Context(), BillFilter{Account: want}); err != nil ||
			len(bills) != 0 {
			t.Errorf("%q has %d bills, %v", want, len(bills), err)
		}
	}
}
