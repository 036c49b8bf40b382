package mutant

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestOverlay builds a program with two edits of one file and one of a file that it embeds.
func TestOverlay(t *testing.T) {
	root, folder := t.TempDir(), t.TempDir()
	for name, text := range map[string]string{
		"go.mod": "module sum\n\ngo 1.24\n",
		"sum.go": "package main\n\nimport _ \"embed\"\n\n//go:embed unit.txt\nvar unit string\n\n" +
			"func main() { print(1+2, unit, 7) }\n",
		"unit.txt": "CNY",
	} {
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	overlay, err := Overlay(folder, root, []Edit{{"sum.go", "1+2", "1-2"}, {"sum.go", ", 7", ", 8"},
		{"unit.txt", "CNY", "USD"}})
	if err != nil {
		t.Fatal(err)
	}
	run := exec.Command("go", "run", "-overlay", overlay, ".")
	run.Dir = root
	if out, err := run.CombinedOutput(); err != nil || string(out) != "-1USD8" {
		t.Errorf("the program says %q, %v", out, err)
	}
}

// TestApplyRefuses wants the old text exactly once, after the edits before it.
func TestApplyRefuses(t *testing.T) {
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "a.go"), []byte("x x y"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, edits := range map[string][]Edit{
		"absent":  {{"a.go", "z", "w"}},
		"twice":   {{"a.go", "x", "w"}},
		"by then": {{"a.go", "y", "w"}, {"a.go", "y", "v"}},
	} {
		if _, err := Apply(root, edits); err == nil || !strings.Contains(err.Error(), "not once") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
