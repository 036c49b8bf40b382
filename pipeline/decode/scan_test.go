package decode

import (
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

// FuzzScan: what is scanned, the parser takes as well, and with the same fields.
func FuzzScan(f *testing.F) {
	for _, seed := range []string{`{"a":"b","c":true}`, ` { "a" : { "b" : null , "c":"\u0000"} } `,
		`{"a":"人脸","b":{"c":{"d":{"e":"f"}}}}`, `{"a":1}`, `{"a":"b",}`, `{"a":"b"}x`, `{"a":{"b":""}`,
		`{"a":"b","a":"c"}`, "{\"a\":\"\x80\"}", "{\"a\":\"\t\"}", `{"a":{"b":"","b":""}}`, `{}`,
		`{"a":truefalse}`, `{"a":"b" "c":"d"}`, `{"a":nul}`,
		`{"a":12,"b":0}`, `{"a":01}`, `{"a":1.5}`, `{"a":1e3}`, `{"a":-1}`, `{"a":1`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		var fast, slow Object
		if !fast.scan(value) {
			return
		}
		err := withDecoder([]byte(value), func(dec *jsontext.Decoder) error {
			if err := slow.read(dec, value); err != nil {
				return err
			}
			rest := strings.TrimLeft(value[dec.InputOffset():], " \t\r\n")
			if len(rest) > 0 {
				t.Errorf("%q: %q is left", value, rest)
			}
			return nil
		})
		if err != nil || len(fast.fields) != len(slow.fields) {
			t.Fatalf("%q: %d fields, the parser says %d, %v", value, len(fast.fields),
				len(slow.fields), err)
		}
		for i := range fast.fields {
			a, b := &fast.fields[i], &slow.fields[i]
			if *a != *b {
				t.Errorf("%q: %s %s, the parser says %s %s", value, a.name, a.value, b.name, b.value)
			}
		}
	})
}

// TestScanReads: the records of producers go the fast way.
func TestScanReads(t *testing.T) {
	var o Object
	if !o.scan(`{"call_id":"人脸-1","charged":true,"sdk":{"name":"x","version":"4.5.4"}}`) {
		t.Error("a plain record is not scanned")
	}
}
