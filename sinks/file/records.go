// Package file reads call and event files and writes bills, status changes, quarantined records
// and books as JSON lines. It is the edge of `tollstream bill`; it owns files and line formats and
// decides nothing.
package file

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"tollstream/pipeline/batch"
	"tollstream/pipeline/billing"
	"tollstream/pipeline/decode"
)

// lineBytesMax bounds one line; longer ones are cut to this and quarantined as too large.
const lineBytesMax = 2 << 20

// ReadRecords reads an event file and a call file and puts their lines in arrival order:
// (arrived_at, event file before call file, line number). The offset of a record is its position
// in that order, from 0.
func ReadRecords(events, calls string) ([]batch.Record, error) {
	list, err := readLines(events, batch.EventRecord, "effective_at")
	if err != nil {
		return nil, err
	}
	callRecords, err := readLines(calls, batch.CallRecord, "occurred_at")
	if err != nil {
		return nil, err
	}
	list = append(list, callRecords...)
	slices.SortStableFunc(list, func(a, b batch.Record) int {
		return cmp.Compare(a.Arrival.Appended, b.Arrival.Appended)
	})
	for i := range list {
		list[i].Arrival.Offset = int64(i)
	}
	return list, nil
}

func readLines(path string, kind batch.Kind, timeField string) ([]batch.Record, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("input: %w", err)
	}
	defer f.Close() //nolint:errcheck // only read
	list, err := lines(bufio.NewReaderSize(f, 1<<20), kind, timeField)
	if err != nil {
		return nil, fmt.Errorf("input %s: %w", path, err)
	}
	return list, nil
}

// lines reads one record a line, in the order of the file.
func lines(in *bufio.Reader, kind batch.Kind, timeField string) ([]batch.Record, error) {
	var list []batch.Record
	arrived := billing.Instant(0)
	for {
		line, err := in.ReadBytes('\n')
		if line = bytes.TrimRight(line, "\r\n"); len(bytes.TrimSpace(line)) > 0 {
			r := batch.Record{Kind: kind, Value: line[:min(len(line), lineBytesMax)]}
			arrived = arrival(&r, timeField, arrived)
			r.Arrival = billing.Arrival{Appended: arrived, Topic: topics[kind]}
			list = append(list, r)
		}
		if errors.Is(err, io.EOF) {
			return list, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

var topics = map[batch.Kind]string{
	batch.EventRecord: "billing.account-events", batch.CallRecord: "faceid.calls",
}

// arrival is the line's arrived_at, or by default its own time. A line without a readable time
// arrives with the line before it, so that it keeps its place.
func arrival(r *batch.Record, timeField string, before billing.Instant) billing.Instant {
	o, refusal := decode.ParseObject(r.Value)
	if refusal != nil {
		return before
	}
	r.Object = &o
	for _, field := range []string{"arrived_at", timeField} {
		s, ok, _ := o.Text(field, 64)
		if !ok {
			continue
		}
		if at, err := billing.ParseInstant(s); err == nil {
			return at
		}
	}
	return before
}
