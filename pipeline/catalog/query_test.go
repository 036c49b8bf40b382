package catalog_test

import (
	"fmt"
	"testing"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/catalog"
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

func day(t testing.TB, s string) billing.Day {
	t.Helper()
	d, err := billing.ParseDay(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestCohortByOpeningTime(t *testing.T) {
	cat := faceID(t)
	for _, c := range []struct{ opened, want string }{
		{"2018-01-01T00:00:00+08:00", "A monthly"},
		{"2021-06-21T23:59:59.999999+08:00", "A monthly"},
		{"2021-06-21T16:00:00Z", "B monthly"},
		{"2023-01-03T23:59:59.999999+08:00", "B monthly"},
		{"2023-01-04T00:00:00+08:00", "C daily"},
	} {
		at, err := billing.ParseInstant(c.opened)
		if err != nil {
			t.Fatal(err)
		}
		cohort := cat.CohortOf(at)
		if got := fmt.Sprint(cohort.Name, " ", cohort.Cycle); got != c.want {
			t.Errorf("opened %s: got %s, want %s", c.opened, got, c.want)
		}
	}
	if cat.Cohort("D") != nil || cat.Cohort("C").Name != "C" {
		t.Error("Cohort finds by name only")
	}
}

func TestTagsBySpelling(t *testing.T) {
	cat := faceID(t)
	for _, c := range []struct{ spelling, want string }{
		{"增强版人脸核身（权威库）-APP", "enh_auth_app"},
		{"增强版人脸核身 (权威库) -App", "enh_auth_app"},
		{"增强版人脸核身(权威库)-app", "enh_auth_app"},
		{"增强版人脸核身（权威库）-浮层H5", "enh_auth_overlay_h5"},
		{"基础版人脸核身 （自传照片)", "basic_self"},
		{"E证通(权威库)", "eid"},
		{"身份信息核验", "idcard"},
		{"身份证信息核验", "idcard"},
		{"增值服务", "bankcard_basic"},
		{"手机号三要素", "phone3"},
		{"手机号信息核验（三要素）-联通", "phone3_cucc"},
		{"证件NFC识别", "nfc"},
		{"phone2", "phone2"},
		{"Phone2", "unknown"}, // ids match literally
		{"手机号", "unknown"},
		{"", "unknown"},
	} {
		id, ok := cat.TagBySpelling(c.spelling)
		if !ok {
			id = "unknown"
		}
		if string(id) != c.want {
			t.Errorf("%q: got %s, want %s", c.spelling, id, c.want)
		}
	}
	if got := cat.TagName("idcard") + " " + cat.TagName("nobody"); got != "身份证信息核验 nobody" {
		t.Errorf("TagName: got %s", got)
	}
}

func TestPriceListsByCohortAndDay(t *testing.T) {
	cat := faceID(t)
	for _, c := range []struct{ cohort, tag, day, want string }{
		{"A", "phone", "2021-12-31", "A/phone"},
		{"A", "phone", "2022-01-01", "none"},
		{"A", "phone2", "2021-12-31", "C/phone2"}, // no such call; C's list has no dates
		{"A", "phone2", "2022-01-01", "B/phone2/2022-01-01"},
		{"A", "phone3", "2022-01-01", "A/phone3/2022-01-01"},
		{"A", "enh_auth_app", "2018-01-01", "B/enh_auth_app"},
		{"A", "enh_auth_overlay_h5", "2023-01-01", "C/enh_auth_overlay_h5"},
		{"A", "legacy_liveness_authority", "2021-01-31", "A/legacy_liveness_authority"},
		{"A", "legacy_liveness_authority", "2021-02-01", "A/legacy_liveness_authority/2021-02-01"},
		{"A", "legacy_liveness_authority", "2021-03-01", "A/legacy_liveness_authority/2021-03-01"},
		{"B", "legacy_liveness_authority", "2022-01-01", "none"},
		{"C", "phone", "2021-12-31", "B/phone"},
		{"C", "idcard", "2023-01-04", "C/idcard"},
		{"C", "nobody", "2023-01-04", "none"},
	} {
		got := "none"
		if p, ok := cat.PriceListFor(c.cohort, catalog.TagID(c.tag), day(t, c.day)); ok {
			got = p.ID
		}
		if got != c.want {
			t.Errorf("%s %s %s: got %s, want %s", c.cohort, c.tag, c.day, got, c.want)
		}
	}
}

func TestReach(t *testing.T) {
	cat := faceID(t)
	const legacy = "legacy_liveness_authority"
	for _, c := range []struct {
		pack, prepaid, legacy string
		want                  bool
	}{
		{legacy, "enh_auth_wechat", legacy, true},
		{legacy, "enh_auth_wechat", "", false},
		{legacy, legacy, legacy, true},
		{"enh_auth_wechat", "enh_auth_wechat", legacy, true},
		{"enh_auth_app", "enh_auth_wechat", legacy, false},
		{"phone", "phone", "", true},
		{"phone", "phone2", "", true},
		{"phone", "phone3", "", true},
		{"phone", "phone3_cmcc", "", false},
		{"phone3", "phone2", "", false},
		{"phone2", "phone2", "", true}, // not on offer, covers its own tag all the same
		{"nobody", "phone2", "", false},
		{"", "", "", false},
		{"enh_auth_app", "", "", false},
	} {
		got := cat.Reaches(catalog.TagID(c.pack), catalog.TagID(c.prepaid), catalog.TagID(c.legacy))
		if got != c.want {
			t.Errorf("package %q, prepaid %q, legacy %q: got %t", c.pack, c.prepaid, c.legacy, got)
		}
	}
}

func TestCodeVersionsByDay(t *testing.T) {
	table := faceID(t).Codes["PhoneVerification"]
	for _, c := range []struct{ day, want string }{
		{"2018-01-01", "[-1 -2 -3 -4 -5 0]"}, // the first list also holds before its day
		{"2020-09-28", "[-1 -2 -3 -4 -5 0]"},
		{"2020-09-29", "[-4 -5 0]"},
		{"2022-03-08", "[-4 -5 0]"},
		{"2022-03-09", "[-4 0]"},
		{"2026-01-01", "[-4 0]"},
	} {
		if got := fmt.Sprint(table.ChargedOn(day(t, c.day))); got != c.want {
			t.Errorf("%s: got %s, want %s", c.day, got, c.want)
		}
	}
}

func TestOutdatedSDK(t *testing.T) {
	cat := faceID(t)
	for _, c := range []struct {
		platform, name, version, day string
		want                         bool
	}{
		{"android", "enhanced_app_sdk", "4.5.3", "2022-12-06", true},
		{"android", "enhanced_app_sdk", "4.5.3", "2022-12-05", false},
		{"android", "enhanced_app_sdk", "4.5.4", "2022-12-06", false},
		{"android", "enhanced_app_sdk", "4.10", "2022-12-06", false},
		{"Android", "Basic App SDK", "v4.5", "2022-12-06", true},
		{"ios", "enhanced_app_sdk", "6.5.3.9", "2022-12-06", true},
		{"ios", "basic_app_sdk", "6.5.4.0", "2022-12-06", false},
		{"ios", "idcard_ocr", "5.1.2", "2022-12-06", true},
		{"android", "腾讯云慧眼身份证OCR SDK", "2.11.4", "2022-12-06", true},
		{"harmony", "enhanced_app_sdk", "1.0", "2022-12-06", false},
		{"android", "someone_elses", "1.0", "2022-12-06", false},
		{"android", "enhanced_app_sdk", "beta", "2022-12-06", false},
		{"android", "enhanced_app_sdk", "", "2022-12-06", false},
	} {
		sdk := billing.SDK{Platform: c.platform, Name: c.name, Version: c.version}
		if got := cat.OutdatedSDK(sdk, day(t, c.day)); got != c.want {
			t.Errorf("%+v on %s: got %t, want %t", sdk, c.day, got, c.want)
		}
	}
}

// TestDigestIsOfTheBytes: any edit, even of a comment, is another catalogue (B26).
func TestDigestIsOfTheBytes(t *testing.T) {
	data := append([]byte("# a comment\n"), schemas.FaceIDCatalog()...)
	other, err := catalog.Parse("x", data)
	if err != nil {
		t.Fatal(err)
	}
	if cat := faceID(t); len(cat.Digest) != 64 || cat.Digest == other.Digest {
		t.Errorf("digests %s and %s", cat.Digest, other.Digest)
	}
}

func BenchmarkPriceListFor(b *testing.B) {
	cat := faceID(b)
	d := day(b, "2022-05-01")
	b.ReportAllocs()
	for b.Loop() {
		cat.PriceListFor("A", "phone2", d)
	}
}
