package house

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestSecurityNamesTestsThatExist keeps docs/security.md from naming a proof that is not there.
func TestSecurityNamesTestsThatExist(t *testing.T) {
	text, err := os.ReadFile(root + "/docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	eachFile(t, true, func(path, src string) {
		if strings.HasSuffix(path, "_test.go") {
			all.WriteString(src)
		}
	})
	names := regexp.MustCompile("`((?:Test|Fuzz)[A-Za-z]+)`").FindAllSubmatch(text, -1)
	if len(names) < 10 {
		t.Errorf("docs/security.md names %d tests", len(names))
	}
	for _, n := range names {
		if !strings.Contains(all.String(), "func "+string(n[1])+"(") {
			t.Errorf("docs/security.md names %s, which does not exist", n[1])
		}
	}
}
