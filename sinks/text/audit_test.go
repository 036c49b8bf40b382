package text

import (
	"bytes"
	"testing"
	"time"

	"tollstream/pipeline/audit"
	"tollstream/pipeline/billing"
	"tollstream/pipeline/settle"
	"tollstream/pipeline/stored"
)

// TestAuditGolden has books that balance over an accepted gap, books that are off, books of which a
// row is missing, a closing that lost a call, offsets that no closing saw, and a new epoch.
func TestAuditGolden(t *testing.T) {
	zone := time.FixedZone("", 8*3600)
	day := billing.DateOf(2023, 2, 1)
	at := day.At(8*time.Hour, zone)
	line := func(of billing.Day, topic string, low, high int64) audit.Line {
		return audit.Line{Day: of, PartitionBooks: settle.PartitionBooks{
			Barrier: stored.Barrier{Topic: topic, Partition: 3, Low: low, High: high}}}
	}
	gap := line(day, "calls", 10, 31)
	gap.Data, gap.Aborted, gap.Control, gap.Compacted, gap.Lost = 15, 1, 1, 1, 3
	gap.Charged, gap.Free, gap.Duplicate, gap.Quarantined, gap.Waiting = 5, 4, 3, 2, 1
	off := line(day, "calls#2", 0, 1200)
	off.Data, off.Charged, off.Odd = 1200, 1198, []int64{7, 1100}
	off.Missing = []settle.Missing{
		{Topic: "calls#2", Partition: 3, From: 7, To: 8, Kind: settle.KindCall, Table: "call_copies"},
		{Topic: "calls#2", Partition: 3, From: 1100, To: 1102, Kind: settle.KindUnknown,
			Table: "deliveries"}}
	rows := line(day+1, "events", 4, 5)
	rows.Data, rows.Events = 1, 1
	rows.Missing = []settle.Missing{{Topic: "events", Partition: 3, From: 4, To: 5,
		Kind: settle.KindQuarantined, Table: "quarantined_records"}}
	r := audit.Report{First: day, Last: day + 1, AsOf: at + 2*24*billing.Hour,
		Lines: []audit.Line{gap, off, rows},
		Taken: []audit.Taken{{Taken: settle.Taken{Day: day, Took: 9, Stored: 8},
			Missing: []settle.Missing{{Topic: "calls", Partition: 3, From: 11, To: 12,
				Kind: settle.KindCall, Table: "taken_calls"}}}},
		Skipped: []audit.Skipped{{Topic: "events", Partition: 3, From: 2, To: 4, Day: day + 1},
			{Topic: "events", Partition: 4, From: 9, To: 8, Day: day + 1}},
		Gaps: []stored.Gap{{Topic: "calls", Partition: 3, From: 20, To: 23, By: "li.na",
			Reason: "disks\x1b[2J died", AcceptedAt: at}},
		Epochs: []stored.Epoch{
			{Topic: "calls", Number: 1, ClusterID: "one", TopicID: "aa", By: "tollstream",
				Reason: "read for the first time", DeclaredAt: at},
			{Topic: "calls", Number: 2, ClusterID: "two", By: "wang.wei", Reason: "moved",
				DeclaredAt: at + billing.Hour}}}
	var out bytes.Buffer
	if err := Audit(&out, &r, zone); err != nil {
		t.Fatal(err)
	}
	golden(t, "audit.txt", out.Bytes())
	if bytes.Contains(out.Bytes(), []byte("\x1b")) {
		t.Error("a reason reaches the terminal as a control sequence")
	}
}
