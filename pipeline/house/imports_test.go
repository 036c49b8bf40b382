// Package house holds the rules of the house as tests: what may import what, what the kernel may
// never do, and how large a file, a function and a line may grow. Each failure says why.
package house

import (
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// kernel are the packages that compute bills. They do no I/O and know no time but their arguments.
var kernel = []string{
	"billing", "canonical", "catalog", "tagging", "rating", "accounts", "claim", "closing",
	"decode", "batch",
}

// order lists the packages below pipeline/, each with what of tollstream it may import. The order
// is the way of a call record: what comes later may use what came before.
var order = map[string][]string{
	"billing":   {},
	"canonical": {"billing"},
	"catalog":   {"billing"},
	"tagging":   {"billing", "catalog"},
	"rating":    {"billing"},
	"decode":    {"billing", "catalog", "rating"},
	"accounts":  {"billing", "catalog"},
	"closing":   {"billing", "canonical", "catalog", "tagging", "rating"},
	"claim":     {"accounts", "billing", "catalog", "closing", "tagging"},
	"batch": {"accounts", "billing", "catalog", "claim", "closing", "decode",
		"tagging"},
	"stored":   {"billing", "tagging"},
	"kafkalog": {},
	"observe":  {"kafkalog"},
	"roster":   {"accounts", "billing", "catalog", "stored", "tagging"},
	"ingest": {"billing", "catalog", "decode", "kafkalog", "observe", "roster", "stored",
		"tagging"},
	"retention": {"billing", "observe"},
	"usage":     {"accounts", "billing", "observe", "roster", "stored"},
	"settle": {"accounts", "billing", "canonical", "catalog", "claim", "closing", "kafkalog",
		"observe", "roster", "stored", "tagging"},
	"audit":             {"billing", "closing", "settle", "stored"},
	"remake":            {"batch", "billing", "catalog", "closing", "decode", "stored"},
	"remake/remaketest": {"billing", "canonical", "catalog", "remake", "stored"},
	"verify":            {"billing", "canonical", "catalog", "remake", "stored"},
	"report":            {"billing", "catalog"},
	"simulate":          {"billing", "catalog", "closing", "remake", "stored"},
	"rebuild": {"billing", "canonical", "catalog", "kafkalog", "observe", "settle", "stored",
		"verify"},
	"generate":            {"billing", "catalog", "tagging", "accounts", "decode", "canonical"},
	"catalog/catalogtest": {"billing", "catalog", "tagging", "rating"},
	"closing/closingtest": {"billing"}, // reads explanations as a person does
	"house":               {},
	"naive":               {"billing", "catalog", "decode"}, // a second road, for tests
	"props":               {"batch", "billing", "canonical", "catalog", "naive"},
	"props/mutant":        {},
	"simulation": {"billing", "canonical", "catalog", "closing", "kafkalog", "roster", "settle",
		"stored"}, // the world around the loops, for tests
}

// kernelStd are the standard packages that the kernel may use, and the libraries.
var kernelStd = []string{
	"bytes", "cmp", "crypto/sha256", "encoding/hex", "encoding/json", "errors", "fmt", "maps",
	"math", "math/bits", "regexp", "slices", "sort", "strconv", "strings", "sync", "time", "unicode",
	"unicode/utf8", "io", "iter", "path", "time/tzdata",
	"github.com/shopspring/decimal",
	"github.com/go-json-experiment/json/jsontext",
	"go.yaml.in/yaml/v3",
}

const root = "../.."

// goFiles lists the project's Go files below a folder, tests only where asked for.
func goFiles(t *testing.T, dir string, tests bool) []string {
	t.Helper()
	var files []string
	for _, pattern := range []string{"*.go", "*/*.go", "*/*/*.go", "*/*/*/*.go", "*/*/*/*/*.go"} {
		found, err := filepath.Glob(filepath.Join(root, dir, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range found {
			if strings.Contains(f, "node_modules") || strings.Contains(f, "testdata") {
				continue
			}
			if tests || !strings.HasSuffix(f, "_test.go") {
				files = append(files, f)
			}
		}
	}
	return files
}

func imports(t *testing.T, file string) []string {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, i := range f.Imports {
		paths = append(paths, strings.Trim(i.Path.Value, `"`))
	}
	return paths
}

func TestKernelImportsOnlyWhatIsPure(t *testing.T) {
	for _, pkg := range kernel {
		for _, file := range goFiles(t, "pipeline/"+pkg, false) {
			for _, path := range imports(t, file) {
				if strings.HasPrefix(path, "tollstream/") || slices.Contains(kernelStd, path) {
					continue
				}
				t.Errorf("%s imports %s: the kernel is a calculator; do I/O, time and "+
					"randomness at the edges (ingest, usage, settle, sinks, cmd)", file, path)
			}
		}
	}
}

func TestPackagesImportOnlyWhatComesBefore(t *testing.T) {
	for _, file := range goFiles(t, "pipeline", false) {
		rel, _ := filepath.Rel(filepath.Join(root, "pipeline"), file)
		pkg := filepath.ToSlash(filepath.Dir(rel))
		allowed, known := order[pkg]
		if !known {
			t.Errorf("%s: package %s has no place in the order of imports; give it one here", file, pkg)
			continue
		}
		for _, path := range imports(t, file) {
			short, own := strings.CutPrefix(path, "tollstream/pipeline/")
			if own && short != pkg && !slices.Contains(allowed, short) {
				t.Errorf("%s imports %s, which does not come before %s", file, short, pkg)
			}
			if strings.HasPrefix(path, "tollstream/sinks") || strings.HasPrefix(path, "tollstream/cmd") ||
				strings.HasPrefix(path, "tollstream/deploy") {
				t.Errorf("%s imports %s: the pipeline does not know where results go", file, path)
			}
		}
	}
}

func TestSinksDoNotKnowEachOther(t *testing.T) {
	for _, file := range goFiles(t, "sinks", false) {
		rel, _ := filepath.Rel(filepath.Join(root, "sinks"), file)
		pkg := strings.Split(filepath.ToSlash(rel), "/")[0]
		for _, path := range imports(t, file) {
			short, own := strings.CutPrefix(path, "tollstream/sinks/")
			if own && short != pkg {
				t.Errorf("%s imports sink %s: sinks speak only in the pipeline's words", file, short)
			}
		}
	}
}
