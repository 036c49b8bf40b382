// Package mutant makes programs with a small mistake in them, by an overlay of their sources
// (go help build, -overlay), so that tests can show that they notice it. It owns the edits and the
// overlay; it does not own what is built with it, nor how a mistake is noticed.
package mutant

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Edit is a replacement in a file, whose path has slashes and begins at some root. The old text has
// to be there exactly once.
type Edit struct{ File, Old, New string }

// Mutant is one small mistake that a person could make, against a rule.
type Mutant struct {
	Mistake, Rule string
	Edits         []Edit
}

// One is a mistake of one edit.
func One(mistake, rule, file, old, changed string) Mutant {
	return Mutant{mistake, rule, []Edit{{File: file, Old: old, New: changed}}}
}

// Fit tells which mutants a change of the program left behind.
func Fit(root string, mutants []Mutant) error {
	var faults []error
	for _, m := range mutants {
		if _, err := Apply(root, m.Edits); err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", m.Mistake, err))
		}
	}
	return errors.Join(faults...)
}

// Apply gives the texts of the edited files by their paths below a root. Edits of one file are
// done one after the other. An old text that is not there exactly once is an error, so that a
// mutant which a change of the program left behind is noticed.
func Apply(root string, edits []Edit) (map[string]string, error) {
	texts := map[string]string{}
	for _, e := range edits {
		text, there := texts[e.File]
		if !there {
			source, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(e.File)))
			if err != nil {
				return nil, err
			}
			text = string(source)
		}
		if n := strings.Count(text, e.Old); n != 1 {
			return nil, fmt.Errorf("%s has %q %d times, not once: the edit is of another version",
				e.File, e.Old, n)
		}
		texts[e.File] = strings.Replace(text, e.Old, e.New, 1)
	}
	return texts, nil
}

// Overlay writes the edited files into a folder, and beside them the file for go's flag -overlay,
// whose path comes back.
func Overlay(folder, root string, edits []Edit) (string, error) {
	texts, err := Apply(root, edits)
	if err != nil {
		return "", err
	}
	replace := map[string]string{}
	for name, text := range texts { //nolint:maporder // JSON sorts its keys
		original, err := filepath.Abs(filepath.Join(root, filepath.FromSlash(name)))
		if err != nil {
			return "", err
		}
		replace[original] = filepath.Join(folder, strings.ReplaceAll(name, "/", "_"))
		if err := os.WriteFile(replace[original], []byte(text), 0o600); err != nil {
			return "", err
		}
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	file := filepath.Join(folder, "overlay.json")
	return file, os.WriteFile(file, overlay, 0o600)
}
