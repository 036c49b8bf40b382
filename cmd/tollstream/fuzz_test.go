package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// FuzzSetting: whatever the text, each type of setting refuses it or writes it so that it reads
// back as the same value.
func FuzzSetting(f *testing.F) {
	for _, seed := range []string{"", "true", "7", "-1", "64KiB", "9223372036854775807B", "1GiB ",
		"1h0m0s", "1.5s", "-2562047h47m16.854775808s", "2023-02-29", "2023-02-01",
		"2023-02-01T00:00:00+08:00", "0000-01-01T00:00:00-23:59", "a, b,,c", "\x00,\"'", "@1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		first, second := settingsOf(&Config{}), settingsOf(&Config{})
		for i, s := range first {
			if s.secret || parseValue(s.to, text) != nil || yearOutOfText(s.to) {
				continue
			}
			written := formatValue(s.to)
			if err := parseValue(second[i].to, written); err != nil {
				t.Fatalf("%s: %q is written %q: %v", s.key, text, written, err)
			}
			if again := formatValue(second[i].to); again != written {
				t.Fatalf("%s: %q is written %q and then %q", s.key, text, written, again)
			}
		}
	})
}

// yearOutOfText tells times that a zone pushed out of the years that have four digits.
func yearOutOfText(field any) bool {
	return typeName(field) == "time" && formatValue(field) != "" &&
		(strings.HasPrefix(formatValue(field), "-") || formatValue(field)[4] != '-')
}

// FuzzConfig: whatever the file and a variable, they are refused as a mistake of whoever wrote
// them, or the configuration that is printed reads back and prints the same.
func FuzzConfig(f *testing.F) {
	example, err := os.ReadFile("../../tollstream.example.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(example, "KAFKA__FETCH__MAX_WAIT", "20ms")
	f.Add([]byte("kafka: {brokers: [a:1, 'b: 2'], sasl: {password: x}}\n"), "ROLES", "usage, settle")
	f.Add([]byte("kafka: &a [*a]\nhttp:\n  listen: |\n    x: y\n"), "CLICKHOUSE__PASSWORD", "secret")
	f.Add([]byte("--- 1\n---\n"), "NOPE", "")
	f.Add([]byte("? {a: b}\n: c\nsettle: {until: 2023-02-01}"), "CATALOG", "#!\t")
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, file []byte, name, value string) {
		if strings.ContainsAny(name, "=\x00") || strings.Contains(value, "\x00") ||
			strings.Contains(strings.ToUpper(name), "FILE") || bytes.Contains(file, []byte("_file")) {
			return // no environment can hold them, or a file of this machine would be read
		}
		printed, err := printedConfig(filepath.Join(dir, "a.yaml"), file, envPrefix+name+"="+value)
		if err != nil {
			if !errors.Is(err, errUsage) {
				t.Fatalf("not marked as wrong usage: %v", err)
			}
			return
		}
		again, err := printedConfig(filepath.Join(dir, "b.yaml"), printed, "")
		if err != nil {
			t.Fatalf("what is printed does not read: %v\n%s", err, printed)
		}
		if again = withoutComments(again); !bytes.Equal(withoutComments(printed), again) {
			t.Fatalf("%s\nis printed again as %s", printed, again)
		}
	})
}

// printedConfig reads a file and one variable, and prints what they come to.
func printedConfig(path string, file []byte, variable string) ([]byte, error) {
	if err := os.WriteFile(path, file, 0o600); err != nil {
		return nil, errors.Join(err, errUsage)
	}
	cmd := &cobra.Command{Use: "x"}
	addConfigFlags(cmd)
	if err := cmd.Flags().Set("config", path); err != nil {
		return nil, err
	}
	cfg, err := readConfig(cmd.Flags(), []string{variable})
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = writeConfig(&out, cfg)
	return out.Bytes(), err
}

// withoutComments leaves the lines with values. Comments name places, which differ.
func withoutComments(text []byte) []byte {
	var kept [][]byte
	for line := range bytes.Lines(text) {
		if !bytes.HasPrefix(bytes.TrimSpace(line), []byte("#")) {
			kept = append(kept, line)
		}
	}
	return bytes.Join(kept, nil)
}
