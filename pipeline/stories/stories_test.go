// Package stories runs the stories in testdata: scripts that a finance person can read and write,
// each about one rule, with the bills that have to come out. README.md has the verbs.
package stories

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"tollstream/pipeline/catalog"
	"tollstream/schemas"
)

var update = flag.Bool("update", false, "write what came out into the stories")

func TestStories(t *testing.T) {
	testscript.Run(t, params(t, testscript.Params{Dir: "testdata", UpdateScripts: *update}))
}

// params lets scripts speak the verbs of a story.
func params(t *testing.T, p testscript.Params) testscript.Params {
	t.Helper()
	cat, err := catalog.Parse("faceid/catalog.yaml", schemas.FaceIDCatalog())
	if err != nil {
		t.Fatal(err)
	}
	p.Cmds = verbs()
	p.Setup = func(e *testscript.Env) error {
		e.Values[storyKey{}] = newStory(cat)
		return nil
	}
	return p
}

// TestReadme runs the story that README.md shows, and looks for each verb in its tables.
func TestReadme(t *testing.T) {
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	shown := regexp.MustCompile("(?s)\n```text\n(.*?)```").FindSubmatch(text)
	if shown == nil {
		t.Fatal("README.md shows no story between ```text and ```")
	}
	path := filepath.Join(t.TempDir(), "readme.txtar")
	if err := os.WriteFile(path, shown[1], 0o600); err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, params(t, testscript.Params{Files: []string{path}}))
	for name := range verbs() {
		if !regexp.MustCompile("(?m)^\\| `(buy` or `)?" + name + "\\b").Match(text) {
			t.Errorf("README.md has no row for the verb %s", name)
		}
	}
	for name := range shows {
		if !strings.Contains(string(text), "\n| `show "+name) {
			t.Errorf("README.md does not say what `show %s` prints", name)
		}
	}
}

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(m.Run())
}
