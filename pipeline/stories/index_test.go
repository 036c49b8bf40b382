package stories

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"tollstream/pipeline/billing"
)

const rulesFile = "../../docs/rules.md"

// index is which stories docs/rules.md names for each rule (B1 …), ambiguity (A1 …), clarification
// and worked example.
type index map[string][]string

var (
	ruleHeading = regexp.MustCompile(`(?m)^### (B[0-9]+) `)
	clarified   = regexp.MustCompile(`^\*\*(Unknown accounts|Missed events) `)
	tableRow    = regexp.MustCompile(`^\| ([^|]+) \|.* \|([^|]*)\|$`)
	quoted      = regexp.MustCompile("`([a-z0-9_]+)`")
)

func readIndex(t *testing.T) index {
	t.Helper()
	text, err := os.ReadFile(rulesFile)
	if err != nil {
		t.Fatal(err)
	}
	found := index{}
	subject := ""
	for paragraph := range strings.SplitSeq(string(text), "\n\n") {
		if m := ruleHeading.FindStringSubmatch(paragraph); m != nil {
			subject = m[1]
		} else if m := clarified.FindStringSubmatch(paragraph); m != nil {
			subject = m[1]
		} else if strings.HasPrefix(paragraph, "#") {
			subject = ""
		}
		if _, stories, ok := strings.Cut(paragraph, "**Story**"); ok && subject != "" {
			found.add(subject, stories)
		}
		if header, _, _ := strings.Cut(paragraph, "\n"); strings.HasSuffix(header, "| story |") {
			for row := range strings.SplitSeq(paragraph, "\n") {
				if m := tableRow.FindStringSubmatch(row); m != nil && !strings.HasPrefix(row, header) {
					found.add(m[1], m[2])
				}
			}
		}
	}
	return found
}

func (x index) add(subject, stories string) {
	x[subject] = append(x[subject], names(stories)...)
}

func names(text string) []string {
	var list []string
	for _, m := range quoted.FindAllStringSubmatch(text, -1) {
		list = append(list, m[1])
	}
	return list
}

// readStories gives the stories by name.
func readStories(t *testing.T) map[string]string {
	t.Helper()
	paths, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	texts := map[string]string{}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		texts[strings.TrimSuffix(filepath.Base(path), ".txtar")] = string(text)
	}
	return texts
}

// TestEveryRuleHasItsStories holds docs/rules.md to the stories: each rule, clarification,
// ambiguity and published example has one, each that is named exists, each that exists is named.
func TestEveryRuleHasItsStories(t *testing.T) {
	found, texts := readIndex(t), readStories(t)
	subjects := []string{"Unknown accounts", "Missed events"}
	for _, counted := range []struct {
		letter string
		last   int
	}{{"B", 27}, {"A", 22}} {
		for n := 1; n <= counted.last; n++ {
			subjects = append(subjects, counted.letter+strconv.Itoa(n))
		}
	}
	for _, subject := range subjects {
		if _, ok := found[subject]; !ok {
			t.Errorf("%s: %s is not there, or its story part could not be read", rulesFile, subject)
		}
	}
	named := map[string]bool{}
	for subject, stories := range found {
		if len(stories) == 0 {
			t.Errorf("%s: %s has no story: write one and name it there", rulesFile, subject)
		}
		for _, name := range stories {
			named[name] = true
			if texts[name] == "" {
				t.Errorf("%s: %s names the story %s, which is not in testdata", rulesFile, subject, name)
			}
		}
	}
	for name := range texts {
		if !named[name] {
			t.Errorf("testdata/%s.txtar is named nowhere in %s: say which rule it shows", name, rulesFile)
		}
	}
}

var (
	ruleCited   = regexp.MustCompile(`\b[AB][0-9]+\b`)
	expectation = regexp.MustCompile(`(?m)^cmp stdout \S+$`)
)

// TestStoriesSayWhatIsRight wants a heading in plain words that cites a rule, and something to
// compare with.
func TestStoriesSayWhatIsRight(t *testing.T) {
	for name, text := range readStories(t) {
		script, _, _ := strings.Cut(text, "\n-- ")
		heading := ""
		for line := range strings.SplitSeq(script, "\n") {
			if !strings.HasPrefix(line, "#") {
				break
			}
			heading += line
		}
		if !ruleCited.MatchString(heading) {
			t.Errorf("%s: the heading says what is right and cites its rule, such as (B15)", name)
		}
		if !expectation.MatchString(script) {
			t.Errorf("%s: no `cmp stdout FILE`: a story says what has to come out", name)
		}
	}
}

// notTold are reasons that a line of text cannot bring about, with the tests that do.
var notTold = []billing.Reason{
	billing.ConfluentFramed, // a record that begins with a zero byte: decode
	billing.RecordTooLarge,  // a record of more than a megabyte: decode
}

// TestEveryReasonHasAStory wants each reason for which a record is quarantined to be shown.
func TestEveryReasonHasAStory(t *testing.T) {
	all := strings.Builder{}
	for _, text := range readStories(t) {
		_, out, _ := strings.Cut(text, "\n-- ")
		all.WriteString(out + "\n")
	}
	for _, reason := range billing.Reasons() {
		told := strings.Contains(all.String(), "\n"+string(reason)+": ")
		if !told && !slices.Contains(notTold, reason) {
			t.Errorf("no story shows a record in quarantine as %s", reason)
		}
	}
}
