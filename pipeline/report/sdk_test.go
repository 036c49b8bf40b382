package report

import (
	"encoding/json"
	"testing"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/catalog"
	"tollstream/schemas"
)

// TestOfSDKs: versions are compared as versions, and the days before the notice of 2022-12-06 allow
// any.
func TestOfSDKs(t *testing.T) {
	cat, err := catalog.Parse("faceid", schemas.FaceIDCatalog())
	if err != nil {
		t.Fatal(err)
	}
	use := func(account, platform, name, version string, day, calls int) SDKUse {
		return SDKUse{AccountID: account, Day: billing.DateOf(2022, 12, day), Calls: int64(calls),
			SDK: billing.SDK{Platform: platform, Name: name, Version: version}}
	}
	r := OfSDKs(cat, []SDKUse{
		use("b", "android", "enhanced_app_sdk", "4.5.4", 6, 1),
		use("b", "android", "enhanced_app_sdk", "4.5.10", 6, 2),
		use("b", "android", "enhanced_app_sdk", "v4.5.3", 7, 4),
		use("b", "android", "enhanced_app_sdk", "v4.5.3", 9, 8),
		use("b", "android", "enhanced_app_sdk", "v4.5.3", 5, 16),
		use("b", "ios", "enhanced_app_sdk", "6.5.3", 6, 32),
		use("a", "ios", "idcard_ocr", "5.1.2", 6, 64),
		use("a", "ios", "unheard_of", "1.0", 6, 128),
		use("a", "ios", "idcard_ocr", "newest", 6, 256),
	})
	have, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"calls":511,"unjudged":384,"outdated":[` +
		`{"account_id":"a","platform":"ios","name":"idcard_ocr","version":"5.1.2",` +
		`"mandated":"5.1.3","calls":64,"first_day":"2022-12-06","last_day":"2022-12-06"},` +
		`{"account_id":"b","platform":"ios","name":"enhanced_app_sdk","version":"6.5.3",` +
		`"mandated":"6.5.4","calls":32,"first_day":"2022-12-06","last_day":"2022-12-06"},` +
		`{"account_id":"b","platform":"android","name":"enhanced_app_sdk","version":"v4.5.3",` +
		`"mandated":"4.5.4","calls":12,"first_day":"2022-12-07","last_day":"2022-12-09"}]}`
	if string(have) != want {
		t.Errorf("have %s\nwant %s", have, want)
	}
}
