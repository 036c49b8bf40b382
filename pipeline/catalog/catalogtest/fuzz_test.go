package catalogtest_test

import (
	"testing"

	"tollstream/pipeline/catalog"
	"tollstream/pipeline/catalog/catalogtest"
	"tollstream/schemas"
)

// FuzzExamples: whatever the file of examples, it is refused or each of its examples has a result.
func FuzzExamples(f *testing.F) {
	cat, err := catalog.Parse("faceid/catalog.yaml", schemas.FaceIDCatalog())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(schemas.FaceIDExamples())
	f.Add([]byte("format: 1\nexamples:\n  - {name: a, call: {}, expect: {tag: b}}\n"))
	f.Add([]byte("format: 1\nexamples:\n  - {name: a, month: {calls: 1e9}, expect: {amount: '1'}}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		results, err := catalogtest.RunExamples(cat, "fuzz.yaml", data)
		if (err == nil) != (len(results) > 0) {
			t.Fatalf("%d results, %v", len(results), err)
		}
	})
}
