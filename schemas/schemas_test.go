package schemas_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"tollstream/pipeline/catalog"
	"tollstream/pipeline/catalog/catalogtest"
	"tollstream/schemas"
)

var products = []struct {
	name              string
	catalog, examples []byte
}{
	{"faceid", schemas.FaceIDCatalog(), schemas.FaceIDExamples()},
	{"docscan", schemas.DocScanCatalog(), schemas.DocScanExamples()},
}

// TestExamplesHold runs what stands beside each catalogue, with the code that makes bills.
func TestExamplesHold(t *testing.T) {
	for _, p := range products {
		t.Run(p.name, func(t *testing.T) {
			cat, err := catalog.Parse(p.name+"/catalog.yaml", p.catalog)
			if err != nil {
				t.Fatalf("Parse:\n%v", err)
			}
			results, err := catalogtest.RunExamples(cat, p.name+"/examples.yaml", p.examples)
			if err != nil {
				t.Fatalf("RunExamples:\n%v", err)
			}
			for _, r := range results {
				for _, d := range r.Diffs {
					t.Errorf("%s/examples.yaml:%d: %s: %s", p.name, r.Line, r.Name, d)
				}
			}
		})
	}
}

// TestCataloguesFitTheEditorsSchema keeps the JSON Schema in step with the parser, both ways: what
// the parser takes fits, and what has a key that it does not know fits neither.
func TestCataloguesFitTheEditorsSchema(t *testing.T) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(schemas.CatalogSchema()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("catalog.schema.json", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("catalog.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range products {
		if err := schema.Validate(plain(t, p.catalog)); err != nil {
			t.Errorf("%s: %v", p.name, err)
		}
		wrong := strings.Replace(string(p.catalog), "postpaid, factor", "postpaid, x: y, factor", 1)
		if p.name == "faceid" && schema.Validate(plain(t, []byte(wrong))) == nil {
			t.Errorf("%s with an unknown key fits the schema", p.name)
		}
	}
}

// plain turns YAML into what a JSON file would hold: dates and keys are texts.
func plain(t *testing.T, data []byte) any {
	t.Helper()
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil {
		t.Fatal(err)
	}
	return plainNode(t, doc.Content[0])
}

func plainNode(t *testing.T, n *yaml.Node) any {
	t.Helper()
	switch n.Kind {
	case yaml.MappingNode:
		m := map[string]any{}
		for i := 0; i < len(n.Content); i += 2 {
			m[n.Content[i].Value] = plainNode(t, n.Content[i+1])
		}
		return m
	case yaml.SequenceNode:
		all := []any{}
		for _, item := range n.Content {
			all = append(all, plainNode(t, item))
		}
		return all
	}
	if n.ShortTag() == "!!timestamp" {
		return n.Value
	}
	var v any
	if err := n.Decode(&v); err != nil {
		t.Fatal(err)
	}
	if i, ok := v.(int); ok {
		return float64(i)
	}
	return v
}
