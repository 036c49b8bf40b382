package clickhouse

import (
	"slices"
	"testing"

	"tollstream/pipeline/billing"
)

func TestMigrateTwiceChangesNothing(t *testing.T) {
	options := freshOptions(t)
	plan, err := Migrate(t.Context(), options, true)
	if err != nil || !plan.CreatedDatabase || len(plan.Applied) == 0 {
		t.Fatalf("dry run over nothing: %+v, %v", plan, err)
	}
	if _, err := Open(t.Context(), options); err == nil {
		t.Fatal("a dry run created the database")
	}
	first, err := Migrate(t.Context(), options, false)
	if err != nil {
		t.Fatal(err)
	}
	if !first.CreatedDatabase || len(first.Applied) != len(plan.Applied) || first.Hints == 0 {
		t.Errorf("first run: %+v", first)
	}
	again, err := Migrate(t.Context(), options, false)
	if err != nil {
		t.Fatal(err)
	}
	if again.CreatedDatabase || len(again.Applied) > 0 || again.Hints > 0 ||
		again.Before != again.After {
		t.Errorf("second run: %+v", again)
	}
	if err := reopen(t, options).Ready(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestEveryTableAndColumnHasAComment(t *testing.T) {
	s := newStore(t)
	tables := rowTexts(t, s, "name, engine", "FROM system.tables "+
		"WHERE database = currentDatabase() AND comment = '' AND name NOT LIKE '.inner%'")
	columns := rowTexts(t, s, "table, name",
		"FROM system.columns WHERE database = currentDatabase() AND comment = ''")
	if len(tables)+len(columns) > 0 {
		t.Errorf("no COMMENT on tables %q, columns %q", tables, columns)
	}
	// Times name their zone, and no table forgets.
	loose := rowTexts(t, s, "table, name, type", "FROM system.columns "+
		"WHERE database = currentDatabase() AND table != '"+versionsTable+"' "+
		"AND type LIKE 'DateTime%' AND type NOT LIKE '%Asia/Shanghai%'")
	ttl := rowTexts(t, s, "name", "FROM system.tables "+
		"WHERE database = currentDatabase() AND create_table_query LIKE '% TTL %'")
	if len(loose)+len(ttl) > 0 {
		t.Errorf("times without zone %q, tables with a TTL %q", loose, ttl)
	}
}

func TestViewsNameTheContract(t *testing.T) {
	s := newStore(t)
	want := []string{"bill_lines", "bills", "calls", "ledger_entries", "quarantine",
		"service_status", "settlements", "usage_daily"}
	have := rowTexts(t, s, "name",
		"FROM system.tables WHERE database = currentDatabase() AND engine = 'View'")
	for _, name := range want {
		if !slices.Contains(have, name) {
			t.Errorf("no view %s", name)
		}
	}
	for _, name := range have { // each can be read, empty as it is
		rowTexts(t, s, "count()", "FROM (SELECT * FROM "+name+")")
	}
}

func TestHintsAreThoseOfTheProgram(t *testing.T) {
	s := newStore(t)
	err := s.exec(t.Context(), "spoil", "INSERT INTO reasons VALUES ('not_json', 'old')")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Migrate(t.Context(), s.options, false); err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, r := range billing.Reasons() {
		want = append(want, string(r)+" "+r.Hint())
	}
	slices.Sort(want)
	have := rowTexts(t, s, "reason, hint", "FROM reasons FINAL")
	slices.Sort(have)
	if !slices.Equal(have, want) {
		t.Errorf("hints are %q", have)
	}
}
