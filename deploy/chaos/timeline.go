package chaos

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// timeline says what was done to the world and when, and counts it by kind.
type timeline struct {
	begun time.Time

	mu     sync.Mutex
	file   *os.File
	counts map[string]int
	ends   map[string]int // how processes ended that nobody had told to end
}

func newTimeline(folder string) (*timeline, error) {
	f, err := os.Create(filepath.Join(folder, "timeline.txt"))
	return &timeline{begun: time.Now(), file: f, counts: map[string]int{},
		ends: map[string]int{}}, err
}

// note writes a line.
func (t *timeline) note(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	fmt.Fprintf(t.file, "%9.3f  %s\n", time.Since(t.begun).Seconds(), fmt.Sprintf(format, args...))
}

// did counts a fault of a kind, and writes it down with what is to be known of it.
func (t *timeline) did(kind, detail string) {
	t.note("%s %s", kind, detail)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.counts[kind]++
}

// ended counts a process that ended though nobody had told it to. The summary says how, as far as
// the address.
func (t *timeline) ended(process, how string) {
	t.did("end by itself of "+process, how)
	t.mu.Lock()
	defer t.mu.Unlock()
	how, _, _ = strings.Cut(how, " at 127.0.0.1")
	t.ends[how]++
}

// summary is one line with the counts, and one for each way in which processes ended by themselves.
func (t *timeline) summary() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	lines := []string{counted(t.counts, ", ")}
	if len(t.ends) > 0 {
		lines = append(lines, "ended by themselves:", counted(t.ends, "\n"))
	}
	return strings.Join(lines, "\n")
}

// counted lists what was counted, sorted.
func counted(counts map[string]int, separator string) string {
	parts := make([]string, 0, len(counts))
	for what, n := range counts { // sorted below
		parts = append(parts, fmt.Sprintf("%s %d", what, n))
	}
	slices.Sort(parts)
	return strings.Join(parts, separator)
}
