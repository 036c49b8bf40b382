// Package topics embeds the JSON Schemas (draft 2020-12) of the topics, one file per topic. They
// are the normative form of what producers send and consumers get; pipeline/decode is held to the
// two input schemas by a test. What a schema cannot say is shown in examples/*/beyond.
package topics

import (
	"embed"
	"fmt"
	"strings"
)

//go:embed *.schema.json
var files embed.FS

const suffix = ".schema.json"

// Names lists the topics that have a schema, by their default names.
func Names() []string {
	entries, err := files.ReadDir(".")
	if err != nil {
		panic(err) // the files are part of the binary
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = strings.TrimSuffix(e.Name(), suffix)
	}
	return names
}

// Schema is the schema of a topic, by its default name.
func Schema(topic string) ([]byte, error) {
	b, err := files.ReadFile(topic + suffix)
	if err != nil {
		return nil, fmt.Errorf("no schema of topic %q", topic)
	}
	return b, nil
}
