package main

import (
	"encoding/json"
	"io"
	"time"

	"tollstream/pipeline/audit"
	"tollstream/pipeline/settle"
	"tollstream/pipeline/stored"
	"tollstream/sinks/text"
)

var auditFormats = map[string]func(io.Writer, *audit.Report, *time.Location) error{
	"table": text.Audit, "json": auditJSON,
}

// The JSON of an audit: one object. Offsets are from included to excluded.
type (
	wireAudit struct {
		From     string        `json:"from"`
		To       string        `json:"to"` // the last day
		AsOf     string        `json:"as_of"`
		Balances bool          `json:"balances"`
		Books    []wireBooks   `json:"books"`
		Taken    []wireTaken   `json:"taken"` // closings of which calls are missing
		Skipped  []wireSkipped `json:"skipped"`
		Gaps     []stored.Gap  `json:"gaps"`
		Epochs   []wireEpoch   `json:"epochs"`
		Faults   []string      `json:"faults"`
	}
	wireBooks struct {
		Day string `json:"day"`
		*settle.PartitionBooks
		Read     int64            `json:"read"`
		Balances bool             `json:"balances"`
		Fault    string           `json:"fault,omitempty"`
		Missing  []settle.Missing `json:"missing,omitempty"`
	}
	wireTaken struct {
		Day     string           `json:"day"`
		Took    int64            `json:"took"`
		Stored  int64            `json:"stored"`
		Missing []settle.Missing `json:"missing"`
	}
	wireSkipped struct {
		Day       string `json:"day"`
		Topic     string `json:"topic"`
		Partition int32  `json:"partition"`
		From      int64  `json:"from"`
		To        int64  `json:"to"`
	}
	wireEpoch struct {
		Topic      string `json:"topic"`
		Epoch      int    `json:"epoch"`
		StoredAs   string `json:"stored_as"`
		ClusterID  string `json:"cluster_id"`
		TopicID    string `json:"topic_id"`
		By         string `json:"by"`
		DeclaredAt string `json:"declared_at"`
		Reason     string `json:"reason"`
	}
)

func auditJSON(w io.Writer, r *audit.Report, zone *time.Location) error {
	faults := r.Faults()
	out := wireAudit{From: r.First.String(), To: r.Last.String(), AsOf: r.AsOf.In(zone),
		Balances: len(faults) == 0, Books: []wireBooks{}, Taken: []wireTaken{},
		Skipped: []wireSkipped{}, Gaps: append([]stored.Gap{}, r.Gaps...), Epochs: []wireEpoch{},
		Faults: append([]string{}, faults...)}
	for i := range r.Lines {
		l := &r.Lines[i]
		out.Books = append(out.Books, wireBooks{Day: l.Day.String(), PartitionBooks: &l.PartitionBooks,
			Read: l.High - l.Low, Balances: l.Balances(), Fault: l.Fault(), Missing: l.Missing})
	}
	for _, t := range r.Taken {
		out.Taken = append(out.Taken, wireTaken{t.Day.String(), t.Took, t.Stored, t.Missing})
	}
	for _, s := range r.Skipped {
		out.Skipped = append(out.Skipped,
			wireSkipped{s.Day.String(), s.Topic, s.Partition, s.From, s.To})
	}
	for i := range r.Epochs {
		e := &r.Epochs[i]
		out.Epochs = append(out.Epochs, wireEpoch{e.Topic, e.Number, e.Log(), e.ClusterID, e.TopicID,
			e.By, e.DeclaredAt.In(zone), e.Reason})
	}
	return json.NewEncoder(w).Encode(&out)
}
