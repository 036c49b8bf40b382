package kafka

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tollstream/pipeline/stored"
)

// TestFirstGapCounts: a gap reads back as it was accepted; one that overlaps it is appended and
// does not count, and whoever accepts it is told.
func TestFirstGapCounts(t *testing.T) {
	process := newPublisher(t)
	first, second := process(), process()
	gap := stored.Gap{Topic: "calls#2", Partition: 3, From: 4, To: 6, Reason: "r", By: "b",
		AcceptedAt: 7}
	if err := first.AcceptGap(t.Context(), gap); err != nil {
		t.Fatal(err)
	}
	wider := gap
	wider.To = 9
	err := second.AcceptGap(t.Context(), wider)
	if err == nil || !strings.Contains(err.Error(), "calls#2/3 [4, 9)") {
		t.Errorf("a gap that overlaps another: %v", err)
	}
	all, err := first.Gaps(t.Context())
	if err != nil || len(all) != 1 || all[0] != gap {
		t.Errorf("%+v, %v", all, err)
	}
}

// TestFirstEpochCounts: of two processes that begin the same epoch, the first says what it is.
func TestFirstEpochCounts(t *testing.T) {
	process := newPublisher(t)
	first, second := process(), process()
	epoch := stored.Epoch{Topic: "calls", Number: 1, ClusterID: "c", TopicID: "ab", Reason: "r",
		By: "b", DeclaredAt: 7}
	other := epoch
	other.TopicID = "cd"
	if got, err := first.BeginEpoch(t.Context(), epoch); err != nil || got != epoch {
		t.Fatalf("%+v, %v", got, err)
	}
	if got, err := second.BeginEpoch(t.Context(), other); err != nil || got != epoch {
		t.Errorf("the second process begins %+v, %v", got, err)
	}
	other.Number = 3
	if _, err := second.BeginEpoch(t.Context(), other); err == nil {
		t.Error("epoch 3 follows on epoch 1")
	}
	all, err := first.Epochs(t.Context())
	if err != nil || all.Last("calls") != epoch {
		t.Errorf("%+v, %v", all, err)
	}
}

// TestSettledTakesTheSchemasExamples: what schemas/topics shows is what this package reads.
func TestSettledTakesTheSchemasExamples(t *testing.T) {
	files, err := filepath.Glob("../../schemas/topics/examples/billing.settlements/good/*.json")
	if err != nil || len(files) < 5 {
		t.Fatalf("%d examples, %v", len(files), err)
	}
	for _, f := range files {
		value, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if err := NewSettled(nil, settlements).take(value); err != nil {
			t.Errorf("%s: %v", f, err)
		}
	}
	for value, want := range map[string]string{
		`{"kind":"accepted_gap","topic":"t","from":3,"to":3}`: "[3, 3)",
		`{"kind":"accepted_gap","topic":"t","to":3}`:          "RFC 3339",
		`{"kind":"epoch","topic":"t"}`:                        "epoch 0",
	} {
		err := NewSettled(nil, settlements).take([]byte(value))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", value, err, want)
		}
	}
}
