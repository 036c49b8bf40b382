package catalog_test

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tollstream/pipeline/catalog"
	"tollstream/schemas"
)

func TestFaceIDCatalogueIsSound(t *testing.T) {
	if _, err := catalog.Parse("schemas/faceid/catalog.yaml", schemas.FaceIDCatalog()); err != nil {
		t.Fatalf("Parse:\n%v", err)
	}
}

var update = flag.Bool("update", false, "rewrite testdata/bad/*.want")

func TestGoodFilesParse(t *testing.T) {
	for _, file := range files(t, "testdata/good/*.yaml") {
		if _, err := catalog.Parse(file, read(t, file)); err != nil {
			t.Errorf("Parse:\n%v", err)
		}
	}
}

// TestBadFilesSayEverythingThatIsWrong compares all messages of each bad file, so that a fault is
// neither lost nor reported in other words by accident.
func TestBadFilesSayEverythingThatIsWrong(t *testing.T) {
	for _, file := range files(t, "testdata/bad/*.yaml") {
		cat, err := catalog.Parse(filepath.Base(file), read(t, file))
		if err == nil || cat != nil {
			t.Errorf("%s: parsed, want faults", file)
			continue
		}
		var faults catalog.Faults
		if !errors.As(err, &faults) {
			t.Errorf("%s: got %T, want Faults", file, err)
		}
		want := strings.TrimSuffix(file, ".yaml") + ".want"
		if *update {
			if err := os.WriteFile(want, []byte(err.Error()+"\n"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got := err.Error() + "\n"; got != string(read(t, want)) {
			t.Errorf("%s: got\n%swant\n%s", file, got, read(t, want))
		}
	}
}

func files(t *testing.T, pattern string) []string {
	t.Helper()
	all, err := filepath.Glob(pattern)
	if err != nil || len(all) == 0 {
		t.Fatalf("no file %s (%v)", pattern, err)
	}
	return all
}

func read(t testing.TB, file string) []byte {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// FuzzParse: whatever the bytes, Parse gives a catalogue or faults with places, and never panics;
// a catalogue that it gives answers questions.
func FuzzParse(f *testing.F) {
	f.Add(schemas.FaceIDCatalog())
	f.Add(schemas.DocScanCatalog())
	for _, pattern := range []string{"testdata/good/*.yaml", "testdata/bad/*.yaml"} {
		all, _ := filepath.Glob(pattern)
		for _, file := range all {
			f.Add(read(f, file))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		cat, err := catalog.Parse("fuzz.yaml", data)
		if (cat == nil) == (err == nil) {
			t.Fatalf("catalogue %v, error %v", cat, err)
		}
		var faults catalog.Faults
		if err != nil && (!errors.As(err, &faults) || len(faults) == 0) {
			t.Fatalf("error without faults: %v", err)
		}
		if cat == nil {
			return
		}
		cohort := cat.CohortOf(0)
		for id := range cat.Tags {
			cat.PriceListFor(cohort.Name, id, 18000)
			cat.ListedPackagePrice(id, 1000, 18000)
			cat.TagBySpelling(cat.TagName(id))
		}
		for _, table := range cat.Codes {
			table.Lookup("0", 18000)
		}
	})
}
