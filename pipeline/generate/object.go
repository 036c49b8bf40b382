package generate

import (
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"tollstream/pipeline/catalog"
)

// object writes a JSON object field by field, in the order of the calls.
type object struct{ b []byte }

func (o *object) name(name string) {
	if len(o.b) == 0 {
		o.b = append(o.b, '{')
	} else {
		o.b = append(o.b, ',')
	}
	o.quote(name)
	o.b = append(o.b, ':')
}

func (o *object) quote(s string) {
	o.b, _ = jsontext.AppendQuote(o.b, s) // fails only for text that is no UTF-8, and still appends
}

// text writes a string field; "" is left out.
func (o *object) text(name, value string) {
	if value != "" {
		o.name(name)
		o.quote(value)
	}
}

func (o *object) count(name string, n int64) {
	o.name(name)
	o.b = strconv.AppendInt(o.b, n, 10)
}

// raw writes a field whose value is JSON already, or is meant not to be.
func (o *object) raw(name, value string) {
	o.name(name)
	o.b = append(o.b, value...)
}

func (o *object) bytes() []byte {
	if len(o.b) == 0 {
		return []byte("{}")
	}
	return append(o.b, '}')
}

// callFields are the fields of a call record before they are bytes.
type callFields struct {
	id, account, occurredAt, code, need string
	dims                                []string
	sdk                                 *catalog.SDKMinimum
	sdkVersion                          string
}

// encode writes a call record.
func (c *callFields) encode(cat *catalog.Catalog) []byte {
	o := object{b: make([]byte, 0, 256)}
	o.text("call_id", c.id)
	o.text("account_id", c.account)
	o.text("occurred_at", c.occurredAt)
	for i, d := range cat.Dimensions {
		switch v := c.dims[i]; {
		case v == "":
		case d.Kind == catalog.Flag:
			o.raw(d.Name, v)
		default:
			o.text(d.Name, v)
		}
	}
	o.text("result_code", c.code)
	if c.need != "" {
		o.raw("need_charge", c.need)
	}
	if c.sdk != nil {
		sdk := object{}
		sdk.text("platform", c.sdk.Platform)
		sdk.text("name", c.sdk.Names[0])
		sdk.text("version", c.sdkVersion)
		o.raw("sdk", string(sdk.bytes()))
	}
	return o.bytes()
}
