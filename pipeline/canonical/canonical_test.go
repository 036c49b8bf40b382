package canonical

import (
	"bytes"
	"encoding/json"
	"testing"
)

// FuzzString: texts are written as encoding/json writes them without HTML escapes.
func FuzzString(f *testing.F) {
	for _, seed := range []string{"", "人脸核身", `a"b\c`, "a\x00b\x7f", "\u2028", "\xff", "\ufffd", "<&>"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var want bytes.Buffer
		enc := json.NewEncoder(&want)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(s); err != nil {
			t.Fatal(err)
		}
		if have := JSON(s); !bytes.Equal(have, bytes.TrimSuffix(want.Bytes(), []byte("\n"))) {
			t.Errorf("%q is %s, want %s", s, have, want.Bytes())
		}
	})
}
