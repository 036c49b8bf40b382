package catalogtest_test

import (
	"strings"
	"testing"

	"tollstream/pipeline/catalog"
	"tollstream/pipeline/catalog/catalogtest"
	"tollstream/schemas"
)

func faceID(t *testing.T) *catalog.Catalog {
	t.Helper()
	cat, err := catalog.Parse("schemas/faceid/catalog.yaml", schemas.FaceIDCatalog())
	if err != nil {
		t.Fatalf("Parse:\n%v", err)
	}
	return cat
}

func TestFaceIDExamplesHold(t *testing.T) {
	results, err := catalogtest.RunExamples(
		faceID(t), "schemas/faceid/examples.yaml", schemas.FaceIDExamples())
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range results {
		for _, d := range r.Diffs {
			t.Errorf("line %d, %s: %s", r.Line, r.Name, d)
		}
	}
}

// TestWrongExamplesFail has one example for each thing that can differ; an example that can not
// fail would prove nothing.
func TestWrongExamplesFail(t *testing.T) {
	const head = "format: 1\nexamples:\n  - name: x\n    "
	const nfc = "call: {opened: 2023-05-01, at: 2023-06-01, channel: nfc, code: \"0\"}\n" +
		"    expect: "
	const reach = "package: phone3\n    call: {opened: 2022-02-01, at: 2022-03-01, " +
		"action: CheckPhoneAndName}\n    expect: "
	const month = "month: {opened: 2021-01-01, tag: 活体人脸核身, on: 2021-03-15, calls: 1000}\n" +
		"    expect: "
	const sale = "package_price: {tag: idcard, size: 1000, on: 2021-03-15}\n    expect: "
	const sdk = "sdk: {platform: ios, name: basic, version: \"1\", at: 2023-03-15}\n    expect: "
	for _, c := range []struct{ example, want string }{
		{nfc + `{cohort: A}`, "cohort: want A, got C"},
		{nfc + `{cycle: monthly}`, "cycle: want monthly, got daily"},
		{nfc + `{channel: eid}`, "channel: want eid, got nfc"},
		{nfc + `{postpaid: eid}`, "postpaid: want eid, got nfc"},
		{nfc + `{prepaid: none}`, "prepaid: want none, got nfc"},
		{nfc + `{legacy: phone}`, "legacy: want phone, got none"},
		{nfc + `{charged: false}`, "charged: want false, got true"},
		{nfc + `{known: false}`, "known: want false, got true"},
		{nfc + `{table: face_paas}`, "table: want face_paas, got nfc"},
		{nfc + `{no_tag: true}`, "no_tag: want true, got false"},
		{nfc + `{free_action: true}`, "free_action: want true, got false"},
		{nfc + `{price: "2.0"}`, "price: want 2, got 1"},
		{nfc + `{tiers: {0: "2"}}`, "tiers: want {0: 2}, got {0: 1}"},
		{nfc + `{list: A/nfc}`, "list: want A/nfc, got C/nfc"},
		{nfc + `{discount: "0.9"}`, "discount: want 0.9, got 1"},
		{reach + `{reaches: true}`, "reaches: want true, got false"},
		{month + `{unit_price: "1"}`, "unit_price: want 1, got 0.85"},
		{month + `{amount: "1000"}`, "amount: want 1000, got 850"},
		{month + `{unpublished: true}`, "unpublished: want true, got false"},
		{sale + `{price: "301"}`, "price: want 301, got 300"},
		{sale + `{listed: false}`, "listed: want false, got true"},
		{sdk + `{outdated: false}`, "outdated: want false, got true"},
	} {
		results, err := catalogtest.RunExamples(faceID(t), "x.yaml", []byte(head+c.example+"\n"))
		if err != nil {
			t.Errorf("%s: %v", c.example, err)
			continue
		}
		if got := strings.Join(results[0].Diffs, "; "); got != c.want {
			t.Errorf("%s: got %q, want %q", c.example, got, c.want)
		}
	}
}

func TestFaultyExampleFilesSayWhere(t *testing.T) {
	for _, c := range []struct{ file, want string }{
		{"format: 1\nexamples:\n  - name: x\n    expect: {}\n",
			"x.yaml:3:5: an example of nothing; add call, package, month, package_price or sdk\n" +
				"x.yaml:4:13: an example that expects nothing; say what must hold"},
		{"format: 1\nexamples:\n  - name: x\n    call: {at: 2021-01-01, weather: fine}\n" +
			"    expect: {charged: true}\n",
			"x.yaml:4:11: a call lacks \"opened\"; add `opened:`\n" +
				"x.yaml:4:28: unknown key \"weather\" in a call; use opened, at, code, channel, " +
				"action, compare_source, intention, edition"},
		{"format: 1\nexamples: []\n", "x.yaml: no example; write at least one"},
		{"", "x.yaml:1:1: the file is empty; begin with `format: 1`"},
	} {
		_, err := catalogtest.RunExamples(faceID(t), "x.yaml", []byte(c.file))
		if err == nil || err.Error() != c.want {
			t.Errorf("got %v\nwant %s", err, c.want)
		}
	}
}
