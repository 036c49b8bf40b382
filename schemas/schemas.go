// Package schemas embeds the project's data files: product catalogues and their examples. It holds
// nothing else and decides nothing; what the files mean is said in README.md and by their readers.
package schemas

import _ "embed"

//go:embed faceid/catalog.yaml
var faceIDCatalog []byte

//go:embed faceid/examples.yaml
var faceIDExamples []byte

//go:embed docscan/catalog.yaml
var docScanCatalog []byte

//go:embed docscan/examples.yaml
var docScanExamples []byte

//go:embed catalog/catalog.schema.json
var catalogSchema []byte

// FaceIDCatalog is schemas/faceid/catalog.yaml, the catalogue used where none is named. The caller
// must not change the bytes.
func FaceIDCatalog() []byte { return faceIDCatalog }

// FaceIDExamples is schemas/faceid/examples.yaml, what that catalogue must say.
func FaceIDExamples() []byte { return faceIDExamples }

// DocScanCatalog is schemas/docscan/catalog.yaml, an invented second product.
func DocScanCatalog() []byte { return docScanCatalog }

// DocScanExamples is schemas/docscan/examples.yaml, what that catalogue must say.
func DocScanExamples() []byte { return docScanExamples }

// CatalogSchema is schemas/catalog/catalog.schema.json, for editors; the parser checks more.
func CatalogSchema() []byte { return catalogSchema }
