// Package stories runs the stories in testdata: scripts that a finance person can read and write,
// each about one rule, with the bills that have to come out. README.md has the verbs.
package stories

import (
	"flag"
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"tollstream/pipeline/catalog"
	"tollstream/schemas"
)

var update = flag.Bool("update", false, "write what came out into the stories")

func TestStories(t *testing.T) {
	cat, err := catalog.Parse("faceid/catalog.yaml", schemas.FaceIDCatalog())
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:           "testdata",
		UpdateScripts: *update,
		Setup: func(e *testscript.Env) error {
			e.Values[storyKey{}] = newStory(cat)
			return nil
		},
		Cmds: verbs(),
	})
}

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(m.Run())
}
