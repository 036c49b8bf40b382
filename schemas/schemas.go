// Package schemas embeds the project's data files: product catalogues and their examples. It holds
// nothing else and decides nothing; what the files mean is said in README.md and by their readers.
package schemas

import _ "embed"

//go:embed faceid/catalog.yaml
var faceIDCatalog []byte

//go:embed faceid/examples.yaml
var faceIDExamples []byte

// FaceIDCatalog is schemas/faceid/catalog.yaml, the catalogue used where none is named. The caller
// must not change the bytes.
func FaceIDCatalog() []byte { return faceIDCatalog }

// FaceIDExamples is schemas/faceid/examples.yaml, what that catalogue must say.
func FaceIDExamples() []byte { return faceIDExamples }
