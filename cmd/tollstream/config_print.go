package main

import (
	"bufio"
	"fmt"
	"io"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

const configHead = `Configuration of tollstream.

Precedence: flags, then environment, then this file, then defaults. The variable of a setting is
TOLLSTREAM_ and its key in capitals, with two underscores for each point: kafka.fetch.max_wait is
TOLLSTREAM_KAFKA__FETCH__MAX_WAIT. Its flag is the key: --kafka.fetch.max_wait. Lists are given
there with commas. Unknown keys and variables are refused. Secrets have no flag and no place in
this file: give them in the environment or in a file of their own.`

// help is what a flag's help says.
func (s *setting) help() string {
	parts := []string{s.doc}
	if s.unit != "" {
		parts = append(parts, "Unit: "+s.unit+".")
	}
	return strings.Join(append(parts, s.limits()...), " ")
}

// limits says what values are allowed.
func (s *setting) limits() []string {
	switch {
	case len(s.choices) > 0:
		return []string{"One of " + strings.Join(s.choices, ", ") + "."}
	case s.least != "":
		return []string{s.least + " to " + s.most + "."}
	}
	return nil
}

func (s *setting) defaultText() string {
	if s.def == "" {
		return "none"
	}
	return s.def
}

// comment is everything that the file says about a setting.
func (s *setting) comment() string {
	text := s.help()
	if s.secret {
		return text + " From " + envName(s.key) + " or " + s.key + "_file only."
	}
	return text + " Default: " + s.defaultText() + "."
}

// writeConfig writes a configuration as a file that reads back to the same values, each setting
// with its comment. Secrets are not written; a comment says whether there is one.
func writeConfig(w io.Writer, c *Config) error {
	out := bufio.NewWriter(w)
	comment(out, "", configHead)
	var open []string // sections that the last line stands in
	for _, s := range settingsOf(c) {
		parts := strings.Split(s.key, ".")
		for i := range parts[:len(parts)-1] {
			if i < len(open) && open[i] == parts[i] {
				continue
			}
			open = append(open[:i:i], parts[i])
			indent := strings.Repeat("  ", i)
			fmt.Fprintln(out)
			comment(out, indent, sections[strings.Join(open, ".")])
			fmt.Fprintf(out, "%s%s:\n", indent, parts[i])
		}
		open = open[:len(parts)-1]
		if len(open) == 0 {
			fmt.Fprintln(out)
		}
		c.writeSetting(out, strings.Repeat("  ", len(open)), parts[len(parts)-1], &s)
	}
	return out.Flush()
}

func (c *Config) writeSetting(w io.Writer, indent, name string, s *setting) {
	text := s.comment()
	if from := c.from(s.key); from != "" {
		text += " Here " + from + "."
	}
	comment(w, indent, text)
	if s.secret {
		value := "not set"
		if formatValue(s.to) != "" {
			value = redacted
		}
		fmt.Fprintf(w, "%s# %s: %s\n", indent, name, value)
		return
	}
	fmt.Fprintf(w, "%s%s: %s\n", indent, name, yamlText(s.to))
}

// comment writes a text as comment lines of at most 96 columns.
func comment(w io.Writer, indent, text string) {
	for i, paragraph := range strings.Split(text, "\n\n") {
		line := indent + "#"
		if i > 0 {
			fmt.Fprintln(w, line)
		}
		for word := range strings.FieldsSeq(paragraph) {
			if len(line)+1+len(word) > 96 {
				fmt.Fprintln(w, line)
				line = indent + "#"
			}
			line += " " + word
		}
		fmt.Fprintln(w, line)
	}
}

// plainText needs no quotes in YAML.
var plainText = regexp.MustCompile(`^[A-Za-z0-9/_][A-Za-z0-9._/:+-]*$`)

func yamlText(field any) string {
	if list, ok := field.(*[]string); ok {
		quoted := make([]string, len(*list))
		for i := range *list {
			quoted[i] = yamlScalar((*list)[i])
		}
		return "[" + strings.Join(quoted, ", ") + "]"
	}
	if _, ok := field.(*string); ok {
		return yamlScalar(formatValue(field))
	}
	if formatValue(field) == "" {
		return `""`
	}
	return formatValue(field)
}

// yamlScalar quotes a text that YAML could read as something else.
func yamlScalar(s string) string {
	var back any
	if plainText.MatchString(s) && yaml.Unmarshal([]byte(s), &back) == nil && back == any(s) {
		return s
	}
	b, err := yaml.Marshal(&yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s,
		Style: yaml.DoubleQuotedStyle})
	if err != nil {
		return fmt.Sprintf("%q", s)
	}
	return strings.TrimSpace(string(b))
}

// writeSettingsTable writes the settings as a Markdown table, for the documentation.
func writeSettingsTable(w io.Writer) error {
	out := bufio.NewWriter(w)
	fmt.Fprint(out, "# Settings\n\nMade from `config_settings.go` by `go test ./cmd/tollstream "+
		"-run TestExampleFile -update-config`.\n\n"+
		strings.ReplaceAll(configHead[strings.Index(configHead, "Precedence"):], "this file",
			"the file")+"\n\n| setting | type | default | meaning |\n|---|---|---|---|\n")
	for _, s := range settingsOf(&Config{}) {
		def := "`" + s.def + "`"
		if s.def == "" {
			def = "none"
		}
		doc := s.help()
		if s.secret {
			doc += " Only from `" + envName(s.key) + "` or `" + s.key + "_file`."
		}
		fmt.Fprintf(out, "| `%s` | %s | %s | %s |\n", s.key, typeName(s.to), def, doc)
	}
	return out.Flush()
}
