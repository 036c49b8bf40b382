package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tollstream/pipeline/generate"
)

// runGenerate runs the command alone, in a folder of its own.
func runGenerate(t *testing.T, args ...string) (string, error) {
	t.Helper()
	t.Chdir(t.TempDir())
	c := newGenerateCommand()
	c.SilenceErrors, c.SilenceUsage = true, true
	var out bytes.Buffer
	c.SetOut(&out)
	c.SetErr(&bytes.Buffer{})
	c.SetArgs(args)
	err := c.ExecuteContext(context.Background())
	return out.String(), err
}

// TestGenerateFeedsBill makes files, bills them, and finds in the books what was promised.
func TestGenerateFeedsBill(t *testing.T) {
	out, err := runGenerate(t, "--out-dir", "d", "--calls", "2000", "--seed", "3", "--corrections",
		"0", "--malformed", "0.02", "--duplicates", "0.1")
	if err != nil {
		t.Fatal(err)
	}
	_, next, _ := strings.Cut(out, "next: tollstream ")
	args := append(strings.Fields(next), "--out", "bills", "--books-out", "books")
	var stderr bytes.Buffer
	if status := run(context.Background(), args, &bytes.Buffer{}, &stderr); status != exitDone {
		t.Fatalf("%v: status %d, %s", args, status, stderr.String())
	}
	var want generate.Ledger
	read(t, filepath.Join("d", expectedFile), &want)
	text, err := os.ReadFile("books")
	if err != nil {
		t.Fatal(err)
	}
	var got struct{ Charged, Free, Duplicate, Read, Waiting int64 }
	for line := range bytes.Lines(text) {
		if bytes.Contains(line, []byte("faceid.calls")) {
			if err := json.Unmarshal(line, &got); err != nil {
				t.Fatal(err)
			}
		}
	}
	if got.Charged != want.Charged || got.Free != want.Free || got.Duplicate != want.Duplicates ||
		got.Read != want.CallRecords || got.Waiting != want.UnknownAccounts {
		t.Errorf("books %+v, expected %+v", got, want)
	}
}

func read(t *testing.T, path string, to any) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(b, to)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestGenerateKeepsFiles(t *testing.T) {
	dir := t.TempDir()
	writeTestFile(t, filepath.Join(dir, callsFile), "precious\n")
	_, err := runGenerate(t, "--out-dir", dir, "--calls", "10")
	if !errors.Is(err, errUsage) || !strings.Contains(err.Error(), "is there already") {
		t.Fatal(err)
	}
	if _, err := runGenerate(t, "--out-dir", dir, "--calls", "10", "--force"); err != nil {
		t.Fatal(err)
	}
}

// TestGenerateInterrupted: a run that is told to stop leaves no files that look whole.
func TestGenerateInterrupted(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	ctx, stop := context.WithCancel(context.Background())
	stop()
	c := newGenerateCommand()
	c.SilenceErrors, c.SilenceUsage = true, true
	c.SetArgs([]string{"--out-dir", dir})
	c.SetOut(&bytes.Buffer{})
	if err := c.ExecuteContext(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestGenerateUsage(t *testing.T) {
	for _, args := range [][]string{
		{}, {"--out-dir", "d", "--kafka"}, {"--out-dir", "d", "--late", "0.9"},
		{"--out-dir", "d", "--from", "2023-02-30"}, {"--out-dir", "d", "--to", "2023-02-01"},
		{"--out-dir", "d", "--regimes", "99"}, {"--out-dir", "d", "--accounts", "-1"},
		{"--out-dir", "d", "--catalog", "none.yaml"}, {"--out-dir", "d", "--send", "past"},
		{"--kafka", "--send", "now"},
	} {
		if _, err := runGenerate(t, args...); !errors.Is(err, errUsage) {
			t.Errorf("%v: %v has not status 2", args, err)
		}
		if _, err := os.Stat("d"); err == nil {
			t.Errorf("%v: a folder was made", args)
		}
	}
}
