package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// catalogCommand runs a catalog verb and gives what it wrote.
func catalogCommand(t *testing.T, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	var out, errs strings.Builder
	c := newCatalogCommand(loadCatalog)
	c.SilenceErrors, c.SilenceUsage = true, true
	c.SetOut(&out)
	c.SetErr(&errs)
	c.SetArgs(args)
	err = c.Execute()
	return out.String(), errs.String(), err
}

func TestCatalogCheckNamesEveryFault(t *testing.T) {
	out, _, err := catalogCommand(t, "check", "", "../../schemas/docscan/catalog.yaml")
	if err != nil || !strings.Contains(out, "embedded catalogue: sound: faceid") ||
		!strings.Contains(out, "docscan/catalog.yaml: sound: docscan") {
		t.Errorf("got %q, %v", out, err)
	}
	const bad = "../../pipeline/catalog/testdata/bad/tiers.yaml"
	_, faults, err := catalogCommand(t, "check", bad)
	if err == nil || errors.Is(err, errUsage) {
		t.Errorf("a faulty file: got %v, want a failure that is not wrong usage", err)
	}
	if n := strings.Count(faults, bad+":"); n != 6 {
		t.Errorf("got %d lines of faults, want 6:\n%s", n, faults)
	}
	if _, _, err := catalogCommand(t, "check", "nowhere.yaml"); !errors.Is(err, errUsage) {
		t.Errorf("a missing file: got %v, want wrong usage", err)
	}
}

func TestCatalogShowTellsTagsPricePackagesAndCodes(t *testing.T) {
	out, _, err := catalogCommand(t, "show", "--channel", "wechat_native_h5",
		"--compare-source", "authority", "--account-opened", "2021-01-01", "--at", "2021-07-18",
		"--code", "2007")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"A, settled monthly", "活体人脸核身 (legacy_liveness_authority)", "(enh_auth_wechat)",
		"source P-old", "1000 to 9999", "0.85 CNY", "not published; 0.68 CNY holds",
		"1000 for 920 CNY", "not on sale that day", "face_wechat", "2013, 2014", "charged",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
}

func TestCatalogShowTakesAnyDimension(t *testing.T) {
	out, _, err := catalogCommand(t, "show", "--catalog", "../../schemas/docscan/catalog.yaml",
		"--dim", "operation=ReadPage", "--dim", "quality=draft", "--account-opened", "2025-02-01",
		"--at", "2025-05-01T10:00")
	if err != nil || !strings.Contains(out, "Page scan (draft)") ||
		!strings.Contains(out, "each unit at the price of its own tier") {
		t.Errorf("got %v\n%s", err, out)
	}
	for _, args := range [][]string{
		{"--dim", "colour=red", "--account-opened", "2025-02-01", "--at", "2025-05-01"},
		{"--channel", "eid", "--account-opened", "2025-02-01"},
		{"--channel", "eid", "--account-opened", "yesterday", "--at", "2025-05-01"},
	} {
		_, _, err := catalogCommand(t, append([]string{"show"}, args...)...)
		if !errors.Is(err, errUsage) {
			t.Errorf("%v: got %v, want wrong usage", args, err)
		}
	}
}

func TestCatalogShowSaysWhyThereIsNoTag(t *testing.T) {
	out, _, err := catalogCommand(t, "show", "--channel", "overlay_h5", "--compare-source",
		"authority", "--account-opened", "2022-01-01", "--at", "2023-05-01")
	if err != nil || !strings.Contains(out, "no tag for cohort B on 2023-05-01") ||
		!strings.Contains(out, "no_billing_tag") {
		t.Errorf("got %v\n%s", err, out)
	}
}

func TestCatalogTestFailsWithWhatDiffers(t *testing.T) {
	out, _, err := catalogCommand(t, "test")
	if err != nil || !strings.Contains(out, " 0 failed") {
		t.Errorf("embedded examples: got %v\n%s", err, out)
	}
	out, _, err = catalogCommand(t, "test", "--catalog", "../../schemas/docscan/catalog.yaml", "-v")
	if err != nil || !strings.Contains(out, "ok    ../../schemas/docscan/examples.yaml:") {
		t.Errorf("examples beside a catalogue: got %v\n%s", err, out)
	}
	wrong := filepath.Join(t.TempDir(), "wrong.yaml")
	text := "format: 1\nexamples:\n  - name: too dear\n" +
		"    call: {opened: 2023-05-01, at: 2023-06-01, channel: nfc, code: \"0\"}\n" +
		"    expect: {price: \"2\", charged: false}\n"
	if err := os.WriteFile(wrong, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	out, _, err = catalogCommand(t, "test", wrong)
	if err == nil || errors.Is(err, errUsage) || !strings.Contains(out, "price: want 2, got 1") ||
		!strings.Contains(out, "charged: want false, got true") {
		t.Errorf("got %v\n%s", err, out)
	}
}
