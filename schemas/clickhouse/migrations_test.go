package migrations

import (
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The forms that a statement of a migration may have. What it says of a name is said once in all
// files, save for the views of earlier files, which are made only where they are missing.
var (
	comments = regexp.MustCompile(`(?m)--.*$`)
	texts    = regexp.MustCompile(`'(?:[^']|'')*'`)
	makes    = regexp.MustCompile(`^CREATE (TABLE|VIEW) IF NOT EXISTS (\w+)\s`)
	replaces = regexp.MustCompile(`^CREATE OR REPLACE VIEW (\w+)\s`)
	alters   = regexp.MustCompile(`(?s)^ALTER TABLE (\w+)\s+(.*)$`)
	action   = regexp.MustCompile(
		`^(?:ADD (?:COLUMN|INDEX) IF NOT EXISTS|MODIFY COLUMN|MODIFY SETTING|COMMENT COLUMN|MODIFY COMMENT)(?: (\w+))?`)
)

// TestStatementsCommute: whoever runs a statement late, or again, changes nothing by it.
func TestStatementsCommute(t *testing.T) {
	names, err := fs.Glob(Files(), "*.sql")
	if err != nil || len(names) == 0 {
		t.Fatal(names, err)
	}
	var all []string
	for _, name := range names {
		text, err := fs.ReadFile(Files(), name)
		if err != nil {
			t.Fatal(err)
		}
		_, body, found := strings.Cut(string(text), "-- +goose Up\n")
		if !found || strings.Contains(body, "+goose") {
			t.Errorf("%s: wants one Up part and nothing else", name)
		}
		all = append(all, statements(body)...)
	}
	for _, fault := range loose(all) {
		t.Error(fault)
	}
}

// TestLooseStatementsAreSeen shows the check what it is for.
func TestLooseStatementsAreSeen(t *testing.T) {
	for sql, want := range map[string]int{
		"CREATE TABLE IF NOT EXISTS a (x Int8); ALTER TABLE a ADD COLUMN IF NOT EXISTS y Int8": 0,
		"CREATE VIEW IF NOT EXISTS v AS SELECT 1; CREATE OR REPLACE VIEW v AS SELECT 2":        0,
		"CREATE OR REPLACE VIEW v AS SELECT 1; CREATE OR REPLACE VIEW v AS SELECT 2":           1,
		"CREATE OR REPLACE VIEW v AS SELECT 1; CREATE VIEW IF NOT EXISTS v AS SELECT 2":        1,
		"CREATE TABLE a (x Int8)":               1,
		"DROP TABLE IF EXISTS a":                1,
		"INSERT INTO a SELECT 1":                1,
		"ALTER TABLE a ADD COLUMN y Int8":       1,
		"ALTER TABLE a DROP COLUMN IF EXISTS y": 1,
		"ALTER TABLE a MODIFY COLUMN y Int8, MODIFY COLUMN z Enum8('a' = 1, 'b' = 2)": 0,
		"ALTER TABLE a MODIFY COLUMN y Int8; ALTER TABLE a MODIFY COLUMN y Int16":     1,
	} {
		if faults := loose(statements(sql)); len(faults) != want {
			t.Errorf("%s: %q, want %d", sql, faults, want)
		}
	}
}

// statements splits SQL without its comments and with its texts emptied.
func statements(sql string) []string {
	sql = texts.ReplaceAllString(comments.ReplaceAllString(sql, ""), "''")
	list := strings.Split(sql, ";")
	for i := range list {
		list[i] = strings.TrimSpace(list[i])
	}
	return slices.DeleteFunc(list, func(s string) bool { return s == "" })
}

// loose names the statements whose outcome depends on when they run.
func loose(list []string) []string {
	var faults []string
	said := map[string]bool{}
	once := func(what, sql string) {
		if said[what] {
			faults = append(faults, what+" is said twice: "+sql)
		}
		said[what] = true
	}
	for _, sql := range list {
		if m := makes.FindStringSubmatch(sql); m != nil {
			if m[1] == "TABLE" || said["view "+m[2]] {
				once("view "+m[2], sql)
			}
		} else if m := replaces.FindStringSubmatch(sql); m != nil {
			once("view "+m[1], sql)
		} else if m := alters.FindStringSubmatch(sql); m != nil {
			for _, part := range actions(m[2]) {
				if a := action.FindStringSubmatch(part); a != nil {
					once("column "+m[1]+"."+a[1], part)
				} else {
					faults = append(faults, "not to be run twice: "+part)
				}
			}
		} else {
			faults = append(faults, "not to be run twice: "+sql)
		}
	}
	return faults
}

// actions splits the parts of an ALTER at the commas outside parentheses.
func actions(sql string) []string {
	depth := 0
	list := strings.FieldsFunc(sql, func(r rune) bool {
		switch r {
		case '(':
			depth++
		case ')':
			depth--
		}
		return r == ',' && depth == 0
	})
	for i := range list {
		list[i] = strings.Join(strings.Fields(list[i]), " ")
	}
	return list
}
