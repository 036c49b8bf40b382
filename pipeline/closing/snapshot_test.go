package closing

import (
	"encoding/json"
	"errors"
	"math/rand/v2"
	"reflect"
	"testing"

	quick "github.com/go-json-experiment/json/v1"
	"github.com/shopspring/decimal"
)

// TestSnapshotsAreJSON: an account's snapshot is what encoding/json makes of it, to the byte,
// whatever is in its fields, and the quicker library reads it back.
func TestSnapshotsAreJSON(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 8))
	for range 2000 {
		a := &Account{}
		fill(t, random, reflect.ValueOf(a).Elem())
		want, err := json.Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		have, err := a.AppendJSON([]byte("-"))
		if err != nil || string(have) != "-"+string(want) {
			t.Fatalf("%v\n%s\n%s", err, have, want)
		}
		again, slowly := &Account{}, &Account{}
		if err := errors.Join(quick.Unmarshal(want, again), json.Unmarshal(want, slowly)); err != nil {
			t.Fatal(err)
		}
		have, err = json.Marshal(again)
		want, fault := json.Marshal(slowly)
		if err := errors.Join(err, fault); err != nil || string(have) != string(want) {
			t.Fatalf("%v\n%s\n%s", err, have, want)
		}
	}
}

// fill gives every field some value, or none.
func fill(t *testing.T, random *rand.Rand, v reflect.Value) {
	t.Helper()
	if d, ok := v.Addr().Interface().(*decimal.Decimal); ok {
		*d = decimal.New(random.Int64N(2000)-1000, int32(random.IntN(30)-20))
		if random.IntN(5) == 0 {
			*d = d.Mul(decimal.New(random.Int64(), 3))
		}
		return
	}
	if random.IntN(3) == 0 {
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(t, random, v.Field(i))
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), random.IntN(3), 3))
		for i := range v.Len() {
			fill(t, random, v.Index(i))
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(t, random, v.Elem())
	case reflect.String:
		texts := []string{"face-h5", "acc/2026-03", "a\"b\\c", "<b>&", "人脸核身", "\x00\x7f\u2028", "\xff"}
		v.SetString(texts[random.IntN(len(texts))])
	case reflect.Int, reflect.Int32, reflect.Int64:
		v.SetInt(int64(random.Uint32()) - 1<<20)
	case reflect.Uint8, reflect.Uint64:
		v.SetUint(uint64(random.IntN(100)))
	case reflect.Bool:
		v.SetBool(true)
	default:
		t.Fatalf("no value for a %s", v.Type())
	}
}
