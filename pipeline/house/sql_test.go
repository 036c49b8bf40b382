package house

import (
	"errors"
	"go/ast"
	"go/constant"
	"go/parser"
	"go/token"
	"go/types"
	"slices"
	"strings"
	"testing"
)

// TestValuesNeverBecomeSQL follows every piece of SQL that sinks/clickhouse hands to the driver
// back to where it was written: constants of the package, and numbers. A text from outside can go
// into a statement as a parameter only. What is let through by name is listed with its reason.
func TestValuesNeverBecomeSQL(t *testing.T) {
	allowed := map[string]string{
		"o.Database": "an identifier cannot be a parameter; Options.Validate lets letters, digits, _",
		"o.Cluster":  "the same",
	}
	checked := checkSQL(t, goFiles(t, "sinks/clickhouse", false), nil, allowed)
	if checked < 30 {
		t.Errorf("%d statements were found; does the check still see them?", checked)
	}
}

// TestSQLCheckSeesValues shows the check values in statements, by each way on which one can get in.
func TestSQLCheckSeesValues(t *testing.T) {
	const head = `package p
		type store struct { conn interface{ Query(any, string, ...any) } }
		type filter struct { name string; parts []string }
		func (s *store) read(sql string) { s.conn.Query(nil, sql) }
		func both(a string) (string, []any) { return "SELECT " + a, nil }
		func (f *filter) add(part string) { f.parts = append(f.parts, part) }
		func (s *store) g(f *filter) { s.read("SELECT 1") }
		func (s *store) f(value string, f *filter, n int) { `
	for body, want := range map[string]int{
		`s.conn.Query(nil, "SELECT ?", value)`:                             0,
		`s.conn.Query(nil, fmt.Sprintf("LIMIT %d", n))`:                    0,
		`sql, _ := both("x"); s.read(sql + " LIMIT 1")`:                    0,
		`f.add("a = ?"); s.read(strings.Join(f.parts, " AND "))`:           0,
		`s.conn.Query(nil, "SELECT '" + value + "'")`:                      1,
		`s.conn.Query(nil, fmt.Sprintf("a = '%s'", f.name))`:               1,
		`s.conn.Query(nil, f.name)`:                                        1,
		`x := "a"; x += value; s.conn.Query(nil, x)`:                       1,
		`sql, _ := both(value); s.conn.Query(nil, sql)`:                    1,
		`f.add("a = " + value); s.conn.Query(nil, f.parts[0])`:             1,
		`for _, x := range []string{value} { s.conn.Query(nil, "b" + x) }`: 1,
		`s.conn.Query(nil, strings.NewReplacer("a", value).Replace("a"))`:  1,
		`s.conn.Query(nil, other.Text())`:                                  1,
	} {
		c := &counter{}
		checkSQL(c, nil, map[string]string{"p.go": head + body + "}"}, nil)
		if c.faults != want {
			t.Errorf("%d faults, want %d: %s", c.faults, want, body)
		}
	}
}

// reporter is what the check tells its faults to.
type reporter interface {
	Helper()
	Errorf(format string, args ...any)
	Fatal(args ...any)
}

type counter struct{ faults int }

func (c *counter) Helper()               {}
func (c *counter) Errorf(string, ...any) { c.faults++ }
func (c *counter) Fatal(args ...any)     { panic(args) }

// checkSQL checks the statements of one package and gives how many there are.
func checkSQL(t reporter, paths []string, sources, allowed map[string]string) int {
	t.Helper()
	f := newFlow(t, paths, sources)
	f.allowed = allowed
	n := 0
	for _, call := range f.calls[nil] {
		name, ok := call.Fun.(*ast.SelectorExpr)
		if !ok || !strings.HasSuffix(types.ExprString(name.X), "conn") || len(call.Args) < 2 ||
			!slices.Contains([]string{"Query", "QueryRow", "Exec", "PrepareBatch"}, name.Sel.Name) {
			continue
		}
		n++
		if at := f.value(call.Args[1]); at != nil {
			t.Errorf("%s: this becomes part of the SQL of %s and is neither a constant nor a number: "+
				"pass it as a parameter", f.set.Position(at.Pos()), f.set.Position(call.Pos()))
		}
	}
	return n
}

// source is where a variable, a field or a result has its value from: an expression, or one of
// several results of a call.
type source struct {
	from   ast.Expr
	result int
}

// flow knows where the texts of a package come from. It resolves the package's own names only;
// what comes from elsewhere counts as a value.
type flow struct {
	set     *token.FileSet
	info    types.Info
	sources map[types.Object][]source // of variables, parameters and fields
	results map[types.Object][][]ast.Expr
	calls   map[types.Object][]*ast.CallExpr // nil has all
	allowed map[string]string
	seen    map[ast.Expr]bool
}

type noImports struct{}

func (noImports) Import(string) (*types.Package, error) { return nil, errors.New("not needed") }

func newFlow(t reporter, paths []string, sources map[string]string) *flow {
	f := &flow{set: token.NewFileSet(), sources: map[types.Object][]source{},
		results: map[types.Object][][]ast.Expr{}, calls: map[types.Object][]*ast.CallExpr{},
		seen: map[ast.Expr]bool{}}
	f.info = types.Info{Types: map[ast.Expr]types.TypeAndValue{}, Defs: map[*ast.Ident]types.Object{},
		Uses: map[*ast.Ident]types.Object{}, Selections: map[*ast.SelectorExpr]*types.Selection{}}
	var files []*ast.File
	add := func(path string, src any) {
		file, err := parser.ParseFile(f.set, path, src, 0)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	for _, path := range paths {
		add(path, nil)
	}
	for path, src := range sources {
		add(path, src)
	}
	config := types.Config{Importer: noImports{}, Error: func(error) {}}
	_, _ = config.Check("p", f.set, files, &f.info)
	for _, file := range files {
		ast.Inspect(file, f.visit)
	}
	for object, calls := range f.calls {
		f.bind(object, calls)
	}
	return f
}

// object is what a name, a field or a method stands for; nil where it is not of this package.
func (f *flow) object(e ast.Expr) types.Object {
	switch x := ast.Unparen(e).(type) {
	case *ast.Ident:
		if o := f.info.Defs[x]; o != nil {
			return o
		}
		return f.info.Uses[x]
	case *ast.SelectorExpr:
		if s := f.info.Selections[x]; s != nil {
			return s.Obj()
		}
	case *ast.IndexExpr: // an element stands for its list
		return f.object(x.X)
	}
	return nil
}

// visit notes every assignment, result and call.
func (f *flow) visit(n ast.Node) bool {
	switch x := n.(type) {
	case *ast.AssignStmt:
		f.assign(x.Lhs, x.Rhs)
	case *ast.ValueSpec:
		names := make([]ast.Expr, len(x.Names))
		for i := range x.Names {
			names[i] = x.Names[i]
		}
		f.assign(names, x.Values)
	case *ast.RangeStmt:
		f.assign([]ast.Expr{x.Value}, []ast.Expr{x.X})
	case *ast.CompositeLit:
		f.fields(x)
	case *ast.FuncDecl:
		if x.Body != nil {
			f.returns(x)
		}
	case *ast.CallExpr:
		f.calls[nil] = append(f.calls[nil], x)
		if o := f.object(x.Fun); o != nil {
			f.calls[o] = append(f.calls[o], x)
		}
	}
	return true
}

func (f *flow) assign(to, from []ast.Expr) {
	for i := range to {
		if to[i] == nil || len(from) == 0 {
			continue
		}
		s := source{from: from[0], result: i}
		if len(from) == len(to) {
			s = source{from: from[i]}
		}
		if o := f.object(to[i]); o != nil {
			f.sources[o] = append(f.sources[o], s)
		}
	}
}

func (f *flow) fields(lit *ast.CompositeLit) {
	t := f.info.Types[lit].Type
	if t == nil {
		return
	}
	shape, ok := t.Underlying().(*types.Struct)
	if !ok {
		return
	}
	for i, e := range lit.Elts {
		if kv, ok := e.(*ast.KeyValueExpr); ok {
			if o := f.info.Uses[kv.Key.(*ast.Ident)]; o != nil {
				f.sources[o] = append(f.sources[o], source{from: kv.Value})
			}
		} else if i < shape.NumFields() {
			f.sources[shape.Field(i)] = append(f.sources[shape.Field(i)], source{from: e})
		}
	}
}

// returns notes the results of a function, not those of functions inside it.
func (f *flow) returns(fn *ast.FuncDecl) {
	o := f.info.Defs[fn.Name]
	ast.Inspect(fn.Body, func(n ast.Node) bool {
		if r, ok := n.(*ast.ReturnStmt); ok {
			f.results[o] = append(f.results[o], r.Results)
		}
		_, inner := n.(*ast.FuncLit)
		return !inner
	})
}

// bind notes what a function's parameters get from its calls.
func (f *flow) bind(o types.Object, calls []*ast.CallExpr) {
	fn, ok := o.(*types.Func)
	if !ok {
		return
	}
	params := fn.Signature().Params()
	for _, call := range calls {
		for i := range min(params.Len(), len(call.Args)) {
			p := params.At(i)
			f.sources[p] = append(f.sources[p], source{from: call.Args[i]})
		}
	}
}

// value finds, among what an expression is made of, one that is neither constant nor number.
func (f *flow) value(e ast.Expr) ast.Expr {
	if tv := f.info.Types[e]; tv.Value != nil && tv.Value.Kind() != constant.Unknown {
		return nil
	}
	if f.seen[e] || f.allowed[types.ExprString(e)] != "" || f.number(e) {
		return nil
	}
	f.seen[e] = true
	defer delete(f.seen, e)
	switch x := e.(type) {
	case *ast.BasicLit:
		return nil
	case *ast.ParenExpr:
		return f.value(x.X)
	case *ast.BinaryExpr:
		if x.Op != token.ADD {
			return nil // of texts only + makes a text
		}
		return f.first(x.X, x.Y)
	case *ast.CompositeLit:
		return f.first(x.Elts...)
	case *ast.Ident, *ast.SelectorExpr, *ast.IndexExpr:
		return f.variable(e)
	case *ast.CallExpr:
		return f.call(x, 0)
	}
	return e
}

func (f *flow) number(e ast.Expr) bool {
	t := f.info.Types[e].Type
	if t == nil {
		return false
	}
	b, ok := t.Underlying().(*types.Basic)
	return ok && b.Info()&types.IsNumeric != 0
}

func (f *flow) first(list ...ast.Expr) ast.Expr {
	for _, e := range list {
		if at := f.value(e); at != nil {
			return at
		}
	}
	return nil
}

// variable follows a name, a field or an element to all that it can hold.
func (f *flow) variable(e ast.Expr) ast.Expr {
	o := f.object(e)
	if _, isConst := o.(*types.Const); isConst {
		return nil
	}
	if o == nil || len(f.sources[o]) == 0 && !isList(o) {
		return e
	}
	for _, s := range f.sources[o] {
		var at ast.Expr
		if call, ok := ast.Unparen(s.from).(*ast.CallExpr); ok {
			at = f.once(call, func() ast.Expr { return f.call(call, s.result) })
		} else {
			at = f.value(s.from)
		}
		if at != nil {
			return at
		}
	}
	return nil
}

// once keeps a value that is made of itself, as in x = append(x, y), from going round for ever.
func (f *flow) once(e ast.Expr, look func() ast.Expr) ast.Expr {
	if f.seen[e] {
		return nil
	}
	f.seen[e] = true
	defer delete(f.seen, e)
	return look()
}

// isList tells variables that begin empty and get their elements later.
func isList(o types.Object) bool {
	_, ok := o.Type().Underlying().(*types.Slice)
	return ok
}

// textMakers are the functions of other packages whose result holds nothing but their arguments.
var textMakers = []string{"append", "strings.Join", "strings.NewReplacer", "strings.Repeat",
	"slices.Clone", "slices.Concat"}

// call follows one result of a call.
func (f *flow) call(x *ast.CallExpr, result int) ast.Expr {
	name := types.ExprString(x.Fun)
	switch {
	case name == "make", name == "fmt.Sprint" && f.numbers(x.Args):
		return nil
	case name == "fmt.Sprintf":
		return f.sprintf(x)
	case slices.Contains(textMakers, name):
		return f.first(x.Args...)
	}
	if replace, ok := x.Fun.(*ast.SelectorExpr); ok && replace.Sel.Name == "Replace" {
		return f.first(append([]ast.Expr{replace.X}, x.Args...)...)
	}
	returns := f.results[f.object(x.Fun)]
	if len(returns) == 0 {
		return x
	}
	for _, list := range returns {
		if result < len(list) {
			if at := f.value(list[result]); at != nil {
				return at
			}
		}
	}
	return nil
}

func (f *flow) numbers(list []ast.Expr) bool {
	return !slices.ContainsFunc(list, func(e ast.Expr) bool { return !f.number(e) })
}

// sprintf lets %d pass, which go vet lets stand with numbers only.
func (f *flow) sprintf(x *ast.CallExpr) ast.Expr {
	if at := f.value(x.Args[0]); at != nil {
		return at
	}
	format := constant.StringVal(f.info.Types[x.Args[0]].Value)
	verbs := strings.Split(strings.ReplaceAll(format, "%%", ""), "%")[1:]
	for i, arg := range x.Args[1:] {
		if i < len(verbs) && strings.HasPrefix(verbs[i], "d") {
			continue
		}
		if at := f.value(arg); at != nil {
			return at
		}
	}
	return nil
}
