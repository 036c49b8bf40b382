package tagging_test

import (
	"os"
	"strings"
	"testing"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/catalog"
	"tollstream/pipeline/tagging"
	"tollstream/schemas"
)

func faceID(t testing.TB) *catalog.Catalog {
	t.Helper()
	cat, err := catalog.Parse("schemas/faceid/catalog.yaml", schemas.FaceIDCatalog())
	if err != nil {
		t.Fatalf("Parse:\n%v", err)
	}
	return cat
}

// call makes a record from words such as "channel:eid intention:true".
func call(t testing.TB, cat *catalog.Catalog, words, at, code string) *billing.CallRecord {
	t.Helper()
	rec := &billing.CallRecord{Dims: make([]string, len(cat.Dimensions)), ResultCode: code}
	for word := range strings.FieldsSeq(words) {
		name, value, _ := strings.Cut(word, ":")
		rec.Dims[cat.DimensionIndex(name)] = value
	}
	if !strings.Contains(at, "T") {
		at += "T00:00:00+08:00"
	}
	var err error
	if rec.OccurredAt, err = billing.ParseInstant(at); err != nil {
		t.Fatal(err)
	}
	return rec
}

var short = strings.NewReplacer("LA", "legacy_liveness_authority",
	"LS", "legacy_liveness_selfphoto", "LP", "legacy_photo_authority")

// cell gives a judgement the way the matrix writes it.
func cell(j tagging.Judgement) string {
	switch {
	case j.NoTag != "":
		return "-"
	case j.Postpaid == j.Prepaid && j.Legacy == "":
		return string(j.Postpaid)
	default:
		return string(j.Postpaid) + "/" + string(j.Prepaid) + "/" + string(j.Legacy)
	}
}

// moments are the first and last ones of a span of days such as ..2021-06-21.
func moments(days string) []string {
	first, last, _ := strings.Cut(days, "..")
	if first == "" {
		first = "2018-01-01"
	}
	if last == "" {
		last = "2026-11-21"
	}
	return []string{first + "T00:00:00+08:00", last + "T23:59:59.999999+08:00"}
}

// TestTagsOfEveryChannel walks the whole matrix of channel, source, day and cohort, with every
// spelling of "no source" where the source does not decide.
func TestTagsOfEveryChannel(t *testing.T) {
	cat := faceID(t)
	matrix, err := os.ReadFile("testdata/faceid_matrix.txt")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for line := range strings.Lines(string(matrix)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		f := strings.Fields(line)
		sources := []string{f[1]}
		if f[1] == "any" {
			sources = []string{"", "authority", "self_photo"}
		}
		for _, source := range sources {
			for _, at := range moments(f[2]) {
				for i, cohort := range []string{"A", "B", "C"} {
					rec := call(t, cat, f[0]+" compare_source:"+source, at, "0")
					j := tagging.Judge(cat, cat.Cohort(cohort), rec)
					seen[j.Channel] = true
					if want := short.Replace(f[3+i]); cell(j) != want {
						t.Errorf("%s %q at %s, cohort %s: got %s %q, want %s",
							f[0], source, at, cohort, cell(j), j.NoTag, want)
					}
				}
			}
		}
	}
	for _, ch := range cat.Channels {
		if !seen[ch.Key] {
			t.Errorf("the matrix says nothing about channel %s", ch.Key)
		}
	}
}

func TestCodeTables(t *testing.T) {
	cat := faceID(t)
	const sdk = "channel:enhanced_app_sdk compare_source:authority"
	const native = "channel:wechat_native_h5 compare_source:authority "
	const eidPlus = "channel:eid intention:true edition:plus"
	const compare = "action:LivenessCompare"
	const besides = "channel:idcard_2 action:MobileStatus"
	const ordinary = "channel:wechat_ordinary_h5 compare_source:self_photo "
	const overlay = "channel:overlay_h5 compare_source:authority "
	const intention = "channel:intention compare_source:authority "
	for _, c := range []struct{ call, at, code, table, want string }{
		{native, "2021-07-18T23:59:59+08:00", "2007", "face_wechat", "charged"},
		{native, "2021-07-19", "2007", "face_wechat", "free"},
		{native, "2018-01-01", "2015", "face_wechat", "charged"}, // before the first version
		{native, "2022-01-01", "2016", "face_wechat", "charged"},
		{native, "2022-01-01", "1002", "face_wechat", "free"},
		{native, "2022-01-01", "17", "face_wechat", "free"},
		{native, "2022-01-01", "18", "face_wechat", "unknown"},
		{native, "2022-01-01", "017", "face_wechat", "unknown"},
		{native, "2022-01-01", "", "face_wechat", "unknown"},
		{native + "edition:plus", "2022-01-01", "1002", "face_plus_wechat", "charged"},
		{native + "edition:plus", "2022-01-01", "2007", "face_plus_wechat", "free"},
		{ordinary + "edition:plus", "2022-01-01", "1002", "face_plus_wechat", "charged"},
		{ordinary, "2021-07-19", "2010", "face_wechat", "free"},
		{"channel:eid", "2021-07-18", "2013", "face_wechat", "charged"},
		{"channel:eid edition:plus", "2022-01-01", "1002", "face_plus_wechat", "charged"},
		{"channel:eid intention:true", "2021-07-01", "2013", "intention_wechat", "free"},
		{eidPlus, "2022-01-01", "1002", "intention_wechat", "free"},
		{intention, "2022-01-01", "2006", "intention_wechat", "charged"},
		{overlay, "2022-01-01", "2006", "face_wechat", "charged"},
		{overlay + "edition:plus", "2022-01-01", "1002", "face_wechat", "free"},
		{sdk, "2022-01-01", "66660010", "face_partner_flow", "charged"},
		{sdk, "2022-01-01", "66660005", "face_partner_flow", "free"},
		{sdk, "2022-01-01", "-4007", "face_partner_flow", "free"},
		{sdk, "2022-01-01", "-6007", "face_partner_flow", "unknown"},
		{"channel:nfc", "2022-01-01", "0", "nfc", "charged"},
		{"channel:nfc", "2022-01-01", "1", "nfc", "unknown"},
		{compare, "2021-06-02", "FailedOperation.CompareFail", "face_paas", "charged"},
		{compare, "2021-06-03", "FailedOperation.CompareFail", "face_paas", "free"},
		{compare, "2021-06-03", "FailedOperation.New", "face_paas", "free"},
		{compare, "2021-06-03", "success", "face_paas", "unknown"},
		{"action:PhoneVerification", "2020-09-28", "-1", "PhoneVerification", "charged"},
		{"action:PhoneVerification", "2020-09-29", "-1", "PhoneVerification", "free"},
		{"action:PhoneVerification", "2022-03-08", "-5", "PhoneVerification", "charged"},
		{"action:PhoneVerification", "2022-03-09", "-5", "PhoneVerification", "free"},
		{"action:BankCard2EVerification", "2020-01-01", "-18", "BankCard2EVerification", "charged"},
		{"channel:wechat_realname", "2021-01-01", "-2", "GetRealNameAuthResult", "charged"},
		// A channel with one list uses that, whatever action stands beside it.
		{besides, "2021-01-01", "-1", "IdCardVerification", "charged"},
	} {
		j := tagging.Judge(cat, cat.Cohort("C"), call(t, cat, c.call, c.at, c.code))
		got := "unknown"
		switch {
		case j.Charged && j.CodeKnown:
			got = "charged"
		case j.CodeKnown:
			got = "free"
		}
		if got != c.want || j.CodeTable != c.table || j.NoTag != "" {
			t.Errorf("%s %s %q: got %s by %s (%s), want %s by %s",
				c.call, c.at, c.code, got, j.CodeTable, j.NoTag, c.want, c.table)
		}
	}
}

func TestIntentionReplacesTags(t *testing.T) {
	cat := faceID(t)
	for _, c := range []struct{ call, a, b string }{
		{"channel:wechat_native_h5 compare_source:authority", "-", "intention_auth"},
		{"channel:wechat_native_h5 compare_source:self_photo", "-", "intention_self"},
		{"channel:wechat_native_h5", "-", "-"},
		{"channel:wechat_miniprogram compare_source:self_photo", "-", "intention_self"},
		{"channel:wechat_ordinary_h5 compare_source:authority", "-", "intention_auth"},
		{"channel:overlay_h5 compare_source:self_photo", "-", "intention_self"},
		{"channel:eid", "-", "intention_auth"},
		{"channel:eid compare_source:self_photo", "-", "intention_auth"},
		{"channel:intention compare_source:self_photo", "-", "intention_self"},
		{"channel:pc_h5 compare_source:authority", "LA/basic_auth/LA", "basic_auth"},
		{"channel:enhanced_app_sdk compare_source:authority", "enh_auth_app", "enh_auth_app"},
		{"action:IdCardVerification", "idcard", "idcard"},
	} {
		for i, want := range []string{c.a, c.b} {
			cohort := cat.Cohort([]string{"A", "B"}[i])
			rec := call(t, cat, c.call+" intention:true", "2022-05-01", "0")
			j := tagging.Judge(cat, cohort, rec)
			if want = short.Replace(want); cell(j) != want {
				t.Errorf("%s, cohort %s: got %s %q, want %s",
					c.call, cohort.Name, cell(j), j.NoTag, want)
			}
		}
	}
}

func TestNoTagSaysWhy(t *testing.T) {
	cat := faceID(t)
	for _, c := range []struct{ call, want string }{
		{"", "none of the dimensions that choose a channel is present: channel, action"},
		{"channel:pigeon action:MobileStatus", `unknown channel "pigeon"`},
		{"channel:pigeon action:DetectAuth", `unknown channel "pigeon"`},
		{"action:Pigeon", `no channel runs action "Pigeon"`},
		{"channel:pc_h5", "channel pc_h5 needs compare_source (authority or self_photo)"},
		{"channel:pc_h5 compare_source:x",
			`channel pc_h5 has no variant for compare_source "x" (it has authority or self_photo)`},
		{"action:ImageRecognitionV2",
			"channel api_image_recognition_v2, authority has no tag for cohort A on 2022-05-01"},
		{"channel:eid intention:true",
			"channel eid, billed as intention, authority has no tag for cohort A on 2022-05-01"},
	} {
		j := tagging.Judge(cat, cat.Cohort("A"), call(t, cat, c.call, "2022-05-01", "0"))
		if j.NoTag != c.want || j.Charged || j.CodeTable != "" || j.Postpaid != "" {
			t.Errorf("%q: got %+v, want NoTag %q", c.call, j, c.want)
		}
	}
}

func TestFreeActionsNeedNoTag(t *testing.T) {
	cat := faceID(t)
	want := tagging.Judgement{FreeAction: true, CodeKnown: true}
	for action := range cat.FreeActions {
		words := "action:" + action + " intention:true compare_source:authority"
		rec := call(t, cat, words, "2022-05-01", "0")
		if j := tagging.Judge(cat, cat.Cohort("B"), rec); j != want {
			t.Errorf("%s: got %+v, want free", action, j)
		}
	}
}

func TestJudgeAllocatesNothing(t *testing.T) {
	cat := faceID(t)
	cohort := cat.Cohort("A")
	rec := call(t, cat, "channel:mobile_h5 compare_source:authority", "2022-05-01", "66660004")
	if n := testing.AllocsPerRun(100, func() { tagging.Judge(cat, cohort, rec) }); n != 0 {
		t.Errorf("Judge allocates %v times per call, want 0", n)
	}
}

func BenchmarkJudge(b *testing.B) {
	cat := faceID(b)
	cohort := cat.Cohort("A")
	rec := call(b, cat, "channel:wechat_native_h5 compare_source:authority intention:false",
		"2022-05-01", "2006")
	b.ReportAllocs()
	for b.Loop() {
		tagging.Judge(cat, cohort, rec)
	}
}
