package file

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"io"
	"os"
	"slices"
	"time"
	"unicode/utf8"

	"tollstream/pipeline/batch"
	"tollstream/pipeline/billing"
	"tollstream/pipeline/canonical"
)

// To writes to a file, to stdout where the path is "-", or nowhere where it is "".
func To(path string, stdout io.Writer, write func(io.Writer) error) error {
	switch path {
	case "":
		return nil
	case "-":
		return flushed(stdout, write)
	}
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("output: %w", err)
	}
	if err := flushed(f, write); err != nil {
		_ = f.Close()
		return fmt.Errorf("output %s: %w", path, err)
	}
	return f.Close()
}

func flushed(w io.Writer, write func(io.Writer) error) error {
	b := bufio.NewWriter(w)
	if err := write(b); err != nil {
		return err
	}
	return b.Flush()
}

func line(w io.Writer, b []byte) error {
	_, err := w.Write(append(b, '\n'))
	return err
}

// WriteBills writes bills as canonical JSON, one a line.
func WriteBills(w io.Writer, bills []*billing.Bill, zone *time.Location) error {
	for _, b := range bills {
		if err := line(w, canonical.Bill(b, zone)); err != nil {
			return err
		}
	}
	return nil
}

// WriteStatus writes status changes, one a line.
func WriteStatus(w io.Writer, list []billing.StatusChange, zone *time.Location) error {
	for i := range list {
		if err := line(w, canonical.Status(&list[i], zone)); err != nil {
			return err
		}
	}
	return nil
}

// WriteQuarantine writes quarantined records with their bytes, place and reason, one a line.
func WriteQuarantine(w io.Writer, list []batch.Quarantined, zone *time.Location) error {
	for i := range list {
		q := &list[i]
		o := canonical.Object{
			"topic": q.Arrival.Topic, "partition": int64(q.Arrival.Partition),
			"offset": q.Arrival.Offset, "arrived_at": q.Arrival.Appended.In(zone),
			"reason": string(q.Refusal.Reason), "detail": q.Refusal.Detail,
			"hint": q.Refusal.Reason.Hint(),
		}
		if utf8.Valid(q.Value) {
			o["value"] = string(q.Value)
		} else {
			o["value_base64"] = base64.StdEncoding.EncodeToString(q.Value)
		}
		if err := line(w, canonical.JSON(o)); err != nil {
			return err
		}
	}
	return nil
}

// WriteBooks writes what became of each partition's records (B21), one partition a line.
func WriteBooks(w io.Writer, books map[string]*batch.Books) error {
	logs := make([]string, 0, len(books))
	for log := range books { // sorted below
		logs = append(logs, log)
	}
	slices.Sort(logs)
	for _, log := range logs {
		b := books[log]
		err := line(w, canonical.JSON(canonical.Object{
			"log": log, "read": b.Read, "charged": b.Charged, "free": b.Free,
			"duplicate": b.Duplicate, "quarantined": b.Quarantined, "waiting": b.Waiting,
			"events": b.Events,
		}))
		if err != nil {
			return err
		}
	}
	return nil
}
