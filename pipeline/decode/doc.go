// Package decode turns the bytes of a record into a call record or an account event, or says why
// it cannot (rule B7). It owns the wire formats of both input topics, which schemas/ describes as
// JSON Schema, and every limit on them. It does not know accounts, tags or prices: a record can be
// well-formed and still have to wait or be refused later.
//
// Decoding is strict where money could be misread (types, dates, duplicate field names, numbers in
// place of decimal strings) and open where producers need room (unknown fields are ignored).
package decode
