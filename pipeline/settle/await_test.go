package settle

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"tollstream/pipeline/observe"
)

// TestPausesGrowAfterErrors: an error is tried again after pauses that double up to a bound, and
// what is only waited for is looked at every Poll. A look that is answered begins anew. That the
// time of day jumps meanwhile does not matter.
func TestPausesGrowAfterErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		day := 0
		l := New(Options{Poll: time.Second, RetryMin: 2 * time.Second, RetryMax: 5 * time.Second,
			Now:     func() time.Time { day++; return time.Now().AddDate(0, 0, day) },
			Metrics: observe.NewMetrics(observe.Build{}, time.Now),
			Logger:  slog.New(slog.DiscardHandler)})
		answers := []string{"error", "error", "error", "waits", "waits", "error", "done"}
		var pauses []int
		last := time.Now()
		err := l.await(t.Context(), "test", func(context.Context) (string, error) {
			pauses = append(pauses, int(time.Since(last)/time.Second))
			last = time.Now()
			answer := answers[len(pauses)-1]
			switch answer {
			case "error":
				return "", errors.New("the broker is away")
			case "done":
				return "", nil
			}
			return answer, nil
		})
		if want := []int{0, 2, 4, 5, 1, 1, 2}; err != nil || !slices.Equal(pauses, want) {
			t.Errorf("pauses of %v seconds, want %v: %v", pauses, want, err)
		}
	})
}
