package catalogtest_test

import (
	"testing"

	"tollstream/pipeline/catalog"
	"tollstream/pipeline/catalog/catalogtest"
	"tollstream/schemas"
)

func faceID(t *testing.T) *catalog.Catalog {
	t.Helper()
	cat, err := catalog.Parse("schemas/faceid/catalog.yaml", schemas.FaceIDCatalog())
	if err != nil {
		t.Fatalf("Parse:\n%v", err)
	}
	return cat
}

func TestFaceIDExamplesHold(t *testing.T) {
	results, err := catalogtest.RunExamples(
		faceID(t), "schemas/faceid/examples.yaml", schemas.FaceIDExamples())
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range results {
		for _, d := range r.Diffs {
			t.Errorf("line %d, %s: %s", r.Line, r.Name, d)
		}
	}
}
