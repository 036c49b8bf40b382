package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"
)

// yamlEntry is one value of the file: its key with points, its text or list, and its line.
type yamlEntry struct {
	key   string
	value any // string, []string, or nil for none
	line  int
	fault string
}

// readYAML flattens one YAML document. A key without a value is the same as its absence.
func readYAML(data []byte) ([]yamlEntry, error) {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc, more yaml.Node
	if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
		return nil, nil
	} else if err != nil {
		return nil, errors.New(strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if err := dec.Decode(&more); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one YAML document")
	}
	root := doc.Content[0]
	if root.Kind == yaml.ScalarNode && root.Tag == "!!null" {
		return nil, nil
	}
	if root.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("line %d: settings are needed, as in \"kafka:\"", root.Line)
	}
	w := yamlWalker{lines: map[string]int{}}
	w.mapping("", root)
	return w.entries, nil
}

type yamlWalker struct {
	entries []yamlEntry
	lines   map[string]int
}

func (w *yamlWalker) mapping(prefix string, node *yaml.Node) {
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := prefix+node.Content[i].Value, node.Content[i+1]
		if value.Kind == yaml.MappingNode {
			w.mapping(key+".", value)
			continue
		}
		e := yamlEntry{key: key, line: node.Content[i].Line}
		e.value, e.fault = yamlValue(value)
		if _, isSection := sections[key]; isSection {
			if e.value == nil && e.fault == "" {
				continue
			}
			e.fault = "is a section, not a setting,"
		}
		if first, twice := w.lines[key]; twice {
			e.fault = fmt.Sprintf("stands in line %d already, and again", first)
		}
		w.lines[key] = e.line
		w.entries = append(w.entries, e)
	}
}

// yamlValue is a text, a list of texts, or nil for no value.
func yamlValue(n *yaml.Node) (value any, fault string) {
	switch {
	case n.Kind == yaml.ScalarNode && n.Tag == "!!null":
		return nil, ""
	case n.Kind == yaml.ScalarNode:
		return n.Value, ""
	case n.Kind != yaml.SequenceNode:
		return nil, "is an alias, which is not supported,"
	}
	list := []string{}
	for _, element := range n.Content {
		if element.Kind != yaml.ScalarNode {
			return nil, "has an element that is no plain value,"
		}
		list = append(list, element.Value)
	}
	return list, ""
}
