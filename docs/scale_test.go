// Package docs checks what documents say with numbers: docs/scale.yaml has what was measured and
// assumed and how everything else follows, and the tables of docs/scale.md are made of it.
package docs

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"math"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

var update = flag.Bool("update", false, "write the tables of docs/scale.md anew")

// plan is docs/scale.yaml.
type plan struct {
	Measured, Assumed []input
	Steps             []step
	Tables            []table
}

// input is a number that somebody measured or chose.
type input struct {
	Name, Is, Unit, By string
	Value              float64
}

// step is a size of the whole system.
type step struct {
	Title           string
	Calls, Accounts float64
}

// table is a group of numbers that follow, each for every step.
type table struct {
	Name string
	Rows []row
}

// row is a number that follows: how, from inputs and from rows before it.
type row struct{ Name, Is, How string }

func read(t *testing.T) *plan {
	t.Helper()
	text, err := os.ReadFile("scale.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var p plan
	decoder := yaml.NewDecoder(strings.NewReader(string(text)))
	decoder.KnownFields(true)
	if err := decoder.Decode(&p); err != nil {
		t.Fatal(err)
	}
	return &p
}

// worlds are the names that a row may use, for each step.
func (p *plan) worlds() []map[string]float64 {
	all := make([]map[string]float64, len(p.Steps))
	for i, s := range p.Steps {
		all[i] = map[string]float64{"calls": s.Calls, "accounts": s.Accounts}
		for _, in := range append(append([]input{}, p.Measured...), p.Assumed...) {
			all[i][in.Name] = in.Value
		}
	}
	return all
}

// value computes an expression.
func value(e ast.Expr, names map[string]float64) (float64, error) {
	switch x := e.(type) {
	case *ast.ParenExpr:
		return value(x.X, names)
	case *ast.BasicLit:
		return strconv.ParseFloat(strings.ReplaceAll(x.Value, "_", ""), 64)
	case *ast.Ident:
		if v, ok := names[x.Name]; ok {
			return v, nil
		}
		return 0, fmt.Errorf("nothing is called %s", x.Name)
	case *ast.BinaryExpr:
		a, err := value(x.X, names)
		if err != nil {
			return 0, err
		}
		b, err := value(x.Y, names)
		switch x.Op {
		case token.ADD:
			return a + b, err
		case token.SUB:
			return a - b, err
		case token.MUL:
			return a * b, err
		case token.QUO:
			return a / b, err
		}
	case *ast.CallExpr:
		result := math.Inf(-1)
		for _, arg := range x.Args {
			v, err := value(arg, names)
			if err != nil {
				return 0, err
			}
			result = max(result, v)
		}
		switch name, _ := x.Fun.(*ast.Ident); {
		case name == nil:
		case name.Name == "max":
			return result, nil
		case name.Name == "ceil" && len(x.Args) == 1:
			return math.Ceil(result - 1e-9), nil
		}
	}
	return 0, fmt.Errorf("no way is known to compute this: %T", e)
}

// number writes three digits, as people read them.
func number(v float64) string {
	units := []string{"", " k", " M", " G", " T", " P"}
	i := 0
	for ; v >= 999.5 && i < len(units)-1; i++ {
		v /= 1000
	}
	digits := max(0, 2-int(math.Floor(math.Log10(max(v, 0.01)))))
	text := strconv.FormatFloat(v, 'f', digits, 64)
	if strings.Contains(text, ".") {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	return text + units[i]
}

// render gives the tables by name.
func (p *plan) render() (map[string]string, error) {
	out := map[string]string{}
	for name, list := range map[string][]input{"measured": p.Measured, "assumed": p.Assumed} {
		text := "| name | value | unit | what it is | from |\n|---|---:|---|---|---|\n"
		for _, in := range list {
			text += fmt.Sprintf("| `%s` | %s | %s | %s | %s |\n", in.Name,
				strconv.FormatFloat(in.Value, 'f', -1, 64), in.Unit, in.Is, in.By)
		}
		out[name] = text
	}
	worlds := p.worlds()
	for _, t := range p.Tables {
		text := "| | name = how"
		for _, s := range p.Steps {
			text += " | " + s.Title
		}
		text += " |\n|---|---|" + strings.Repeat("---:|", len(p.Steps)) + "\n"
		for _, r := range t.Rows {
			how, err := parser.ParseExpr(r.How)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", r.Name, err)
			}
			text += fmt.Sprintf("| %s | `%s = %s`", r.Is, r.Name, r.How)
			for _, names := range worlds {
				v, err := value(how, names)
				if err != nil {
					return nil, fmt.Errorf("%s: %w", r.Name, err)
				}
				if _, taken := names[r.Name]; taken {
					return nil, fmt.Errorf("%s is said twice", r.Name)
				}
				names[r.Name] = v
				text += " | " + number(v)
			}
			text += " |\n"
		}
		out[t.Name] = text
	}
	return out, nil
}

var marked = regexp.MustCompile(`(?s)<!-- scale: (\w+) -->\n(.*?)<!-- end -->`)

// TestScale: every table of docs/scale.md is what follows from docs/scale.yaml.
func TestScale(t *testing.T) {
	p := read(t)
	tables, err := p.render()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("scale.md")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	now := marked.ReplaceAllStringFunc(string(text), func(part string) string {
		m := marked.FindStringSubmatch(part)
		if tables[m[1]] == "" {
			t.Errorf("scale.yaml has no table %s", m[1])
		}
		found++
		return "<!-- scale: " + m[1] + " -->\n" + tables[m[1]] + "<!-- end -->"
	})
	if found != len(tables) {
		t.Errorf("%d tables are shown, %d are there", found, len(tables))
	}
	if *update {
		if err := os.WriteFile("scale.md", []byte(now), 0o600); err != nil {
			t.Fatal(err)
		}
	} else if now != string(text) {
		t.Error("scale.md does not say what follows from scale.yaml: go test ./docs -update")
	}
	for _, in := range append(append([]input{}, p.Measured...), p.Assumed...) {
		if in.By == "" || in.Is == "" || in.Unit == "" {
			t.Errorf("%s: say what it is, in which unit, and where it comes from", in.Name)
		}
		used := regexp.MustCompile(`\b` + in.Name + `\b`)
		if !strings.Contains(now, "`"+in.Name+"`") || len(used.FindAllString(now, 2)) < 2 {
			t.Errorf("nothing follows from %s", in.Name)
		}
	}
}

// TestArithmetic: what the tables rest on.
func TestArithmetic(t *testing.T) {
	names := map[string]float64{"a": 3, "b": 0.5}
	for how, want := range map[string]float64{"a*b+1e6": 1_000_001.5, "a/(b-1)": -6,
		"ceil(a*b)": 2, "ceil(a)": 3, "max(a, b, 7)": 7} {
		e, err := parser.ParseExpr(how)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := value(e, names); err != nil || got != want {
			t.Errorf("%s is %v, %v, want %v", how, got, err, want)
		}
	}
	for _, how := range []string{"c", "a % b", "floor(a)", "a.b"} {
		if e, err := parser.ParseExpr(how); err == nil {
			if got, err := value(e, names); err == nil {
				t.Errorf("%s is %v", how, got)
			}
		}
	}
	for v, want := range map[float64]string{0: "0", 0.123: "0.123", 9.87: "9.87", 12.34: "12.3",
		999.4: "999", 999.6: "1 k", 28_800_000_000: "28.8 G", 3: "3", 1e6: "1 M"} {
		if got := number(v); got != want {
			t.Errorf("%v is written %q, want %q", v, got, want)
		}
	}
}
