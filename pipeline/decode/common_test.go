package decode_test

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/decode"
)

// TestWhatRecordsHaveInCommon: a record is read as if nothing had been read before it, whatever
// parts of it were. The records are put together of all beginnings, middles and ends, and read in
// many orders by one Reader.
func TestWhatRecordsHaveInCommon(t *testing.T) {
	calls := decode.NewCalls(faceid(t))
	const id, account, at = `"call_id":"c%d"`, `"account_id":"1300000002"`,
		`"occurred_at":"2023-02-02T08:00:00+08:00"`
	heads := []string{id + "," + account + "," + at, at + "," + account + "," + id,
		id + "," + account, id + "," + account + `,"occurred_at":"3023-02-02T08:00:00+08:00"`,
		id + "," + account + "," + at + "," + account, id + ` , ` + account + "," + at,
		id + `,"account_id":7,` + at, id + "," + account + `,"sdk":null,` + at,
		id + `,"account_id":"","occurred_at":"2023-02-02T08:00:00+08:00"`}
	middles := []string{`,"channel":"app_sdk","compare_source":"self_photo","result_code":"0"`,
		`,"channel":"app_sdk","result_code":"0","result_code":"0"`, `,"result_code":"0"`,
		`,"channel":"h5","result_code":"0","note":",'sdk':"`, `,"channel":"h5","result_code":"0","x":{"y":1`,
		`,"channel":"app_sdk","result_code":"0",` + id, ``, `,"channel":"app_sdk","result_code":""`,
		`,"channel":"app_sdk","result_code":"0","x":{"sdk":{"name":"inner"},"sdk":{}}`}
	ends := []string{`}`, ` } `, `,"ms":%[2]d}`, `,"ms":1,"x":{"ms":2}}`, `,"ms":1,"channel":"h5"}`, `,"ms":1,"ms":2}`,
		`,"sdk":{"name":"n"},"ms":%[2]d}`, `,"sdk":{"name":"n","ms":3},"ms":4}`, `,"ms":5,"sdk":{"name":"n"}}`, `,"sdk":{"name":"n","version":"1"}}`, `,"sdk":null}`,
		`,"sdk":{"name":"n"},"edition":"plus"}`, `,"sdk":{"name":"n"},"channel":"app_sdk"}`,
		`,"sdk":{"name":"n"},"sdk":{"name":"m"}}`, `,"sdk":{"name":"n","name":"m"}}`, `}}`, `,"sdk":1}`,
		``, `,"sdk":{"name":"n"}`, `,"sdk":{"name":"n"}}x`}
	var values []string
	for _, head := range heads {
		for _, middle := range middles {
			for _, end := range ends {
				values = append(values, "{"+head+middle+end)
			}
		}
	}
	r := rand.New(rand.NewPCG(5, 6))
	read, found := 0, 0
	for range 20 {
		reader := calls.Reader()
		for range 3000 {
			value := values[r.IntN(len(values))]
			value = strings.NewReplacer("%d", fmt.Sprint(r.IntN(1000)), "%[2]d",
				fmt.Sprint(r.IntN(1000))).Replace(value)
			rec, refusal := calls.Decode([]byte(value), billing.Arrival{Appended: arrived})
			second, again := reader.Decode(value, billing.Arrival{Appended: arrived})
			if !reflect.DeepEqual(rec, second) || !reflect.DeepEqual(refusal, again) {
				t.Fatalf("%s: %+v %v, by a Reader %+v %v", value, rec, refusal, second, again)
			}
			if refusal == nil {
				read++
			}
			if rest, _ := reader.Common(); rest != nil {
				found++
			}
		}
	}
	if read < 1000 || found < read/20 {
		t.Errorf("%d records are right, %d were found", read, found)
	}
}

// TestNothingInCommon: records that differ in all their parts are read all the same, and what is
// remembered of them is bounded.
func TestNothingInCommon(t *testing.T) {
	calls := decode.NewCalls(faceid(t))
	reader := calls.Reader()
	found := 0
	for i := range 50_000 {
		rec, refusal := reader.Decode(fmt.Sprintf(`{"call_id":"c","account_id":"a",`+
			`"occurred_at":"2023-02-02T08:00:00+08:00","channel":"h5","result_code":"%d"}`, i),
			billing.Arrival{Appended: arrived})
		if refusal != nil || rec.ResultCode != fmt.Sprint(i) {
			t.Fatal(rec, refusal)
		}
		if rest, _ := reader.Common(); rest != nil {
			found++
		}
	}
	if n := reader.Remembered(); found > 0 || n == 0 || n > 2*decode.CommonMax {
		t.Errorf("%d records were found, %d parts are remembered", found, n)
	}
}
