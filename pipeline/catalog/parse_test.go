package catalog_test

import (
	"testing"

	"tollstream/pipeline/catalog"
	"tollstream/schemas"
)

func TestFaceIDCatalogueIsSound(t *testing.T) {
	if _, err := catalog.Parse("schemas/faceid/catalog.yaml", schemas.FaceIDCatalog()); err != nil {
		t.Fatalf("Parse:\n%v", err)
	}
}
