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
}

func newTimeline(folder string) (*timeline, error) {
	f, err := os.Create(filepath.Join(folder, "timeline.txt"))
	return &timeline{begun: time.Now(), file: f, counts: map[string]int{}}, err
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

// summary is one line with the counts.
func (t *timeline) summary() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	parts := make([]string, 0, len(t.counts))
	for kind, n := range t.counts { // sorted below
		parts = append(parts, fmt.Sprintf("%s %d", kind, n))
	}
	slices.Sort(parts)
	return strings.Join(parts, ", ")
}
