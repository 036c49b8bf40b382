package house

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strings"
	"testing"
	"unicode/utf8"
)

// Limits with their reasons: what does not fit a screen is not read as a whole.
const (
	functionLinesMax = 70
	fileLinesMax     = 400
	lineColumnsMax   = 100
	tabColumns       = 2
)

var folders = []string{"cmd", "pipeline", "sinks", "schemas", "deploy"}

func eachFile(t *testing.T, tests bool, visit func(path string, src string)) {
	t.Helper()
	for _, dir := range folders {
		for _, path := range goFiles(t, dir, tests) {
			src, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			visit(path, string(src))
		}
	}
}

func TestFilesAndLinesAreShort(t *testing.T) {
	eachFile(t, true, func(path, src string) {
		lines := strings.Split(src, "\n")
		if len(lines) > fileLinesMax+1 && !strings.HasSuffix(path, "_test.go") {
			t.Errorf("%s has %d lines, at most %d: give its second noun a file of its own",
				path, len(lines), fileLinesMax)
		}
		for i, l := range lines {
			columns := utf8.RuneCountInString(l) + (tabColumns-1)*strings.Count(l, "\t")
			if columns > lineColumnsMax && !strings.Contains(l, "`") &&
				!strings.Contains(l, "http") {
				t.Errorf("%s:%d has %d columns, at most %d", path, i+1, columns, lineColumnsMax)
			}
		}
	})
}

func TestFunctionsAreShort(t *testing.T) {
	eachFile(t, false, func(path, src string) {
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, path, src, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Body == nil {
				continue
			}
			n := set.Position(f.End()).Line - set.Position(f.Pos()).Line + 1
			if n > functionLinesMax {
				t.Errorf("%s: %s has %d lines, at most %d: name its steps",
					path, f.Name.Name, n, functionLinesMax)
			}
		}
	})
}

// TestKernelIsPure bans what would make a bill depend on anything but its input.
func TestKernelIsPure(t *testing.T) {
	banned := map[string]string{
		"time.Now":   "time is an argument of a closing",
		"time.Since": "time is an argument of a closing",
		"time.After": "a closing does not wait",
		"time.Sleep": "a closing does not wait",
	}
	for _, pkg := range kernel {
		for _, path := range goFiles(t, "pipeline/"+pkg, false) {
			set := token.NewFileSet()
			file, err := parser.ParseFile(set, path, nil, parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(file, func(n ast.Node) bool {
				switch x := n.(type) {
				case *ast.GoStmt:
					t.Errorf("%s: a goroutine in the kernel", set.Position(x.Pos()))
				case *ast.SelectorExpr:
					if id, ok := x.X.(*ast.Ident); ok {
						if why, bad := banned[id.Name+"."+x.Sel.Name]; bad {
							t.Errorf("%s: %s.%s: %s", set.Position(x.Pos()), id.Name, x.Sel.Name, why)
						}
					}
				case *ast.Ident:
					if x.Name == "float64" || x.Name == "float32" {
						t.Errorf("%s: a float in the kernel: amounts are decimals, quantities "+
							"integers (B17)", set.Position(x.Pos()))
					}
				}
				return true
			})
		}
	}
}

// TestPackagesSayWhatTheyOwn wants one package comment per package.
func TestPackagesSayWhatTheyOwn(t *testing.T) {
	docs := map[string]int{}
	eachFile(t, false, func(path, src string) {
		file, err := parser.ParseFile(token.NewFileSet(), path, src, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		dir := path[:strings.LastIndex(path, "/")]
		docs[dir] += 0
		if file.Doc != nil {
			docs[dir]++
		}
	})
	for dir, n := range docs {
		if n != 1 {
			t.Errorf("%s has %d package comments; one says what it owns and what not", dir, n)
		}
	}
}
