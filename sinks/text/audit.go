package text

import (
	"fmt"
	"io"
	"time"

	"tollstream/pipeline/audit"
	"tollstream/pipeline/billing"
	"tollstream/pipeline/settle"
)

// The equations of an audit (B21), below its numbers.
const equations = `Read = Data + Aborted + Control + Compacted + Lost
Data = Charged + Free + Duplicate + Quarantined + Waiting + Events
`

// Audit writes the books by day and partition, what is wrong with them, the gaps that were accepted
// by hand and the epochs of the topics. Times are shown in the zone.
func Audit(w io.Writer, r *audit.Report, zone *time.Location) error {
	_, err := fmt.Fprintf(w, "Closings  of %s to %s\nAs of     %s, the last closing that is done\n\n",
		r.First, r.Last, r.AsOf.In(zone))
	for _, part := range []func(io.Writer, *audit.Report, *time.Location) error{
		auditLines, auditFaults, auditGaps, auditEpochs, auditVerdict,
	} {
		if err == nil {
			err = part(w, r, zone)
		}
	}
	return err
}

func auditLines(w io.Writer, r *audit.Report, _ *time.Location) error {
	rows := make([][]any, len(r.Lines))
	for i := range r.Lines {
		l := &r.Lines[i]
		rows[i] = []any{l.Day.String(), l.Topic, l.Partition, offsets(l.Low, l.High), l.High - l.Low,
			l.Data, l.Aborted, l.Control, l.Compacted, l.Lost, l.Charged, l.Free, l.Duplicate,
			l.Quarantined, l.Waiting, l.Events, lineVerdict(l)}
	}
	err := Table(w, []any{"Day", "Topic", "Part.", "Offsets", "Read", "Data", "Aborted", "Control",
		"Compacted", "Lost", "Charged", "Free", "Duplicate", "Quarantined", "Waiting", "Events",
		"Books"}, rows, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16)
	if err == nil {
		_, err = fmt.Fprint(w, "\n"+equations)
	}
	return err
}

func offsets(from, to int64) string { return fmt.Sprintf("[%d, %d)", from, to) }

func lineVerdict(l *audit.Line) string {
	switch {
	case l.Balances():
		return "balance"
	case l.Fault() == "":
		return "rows missing"
	}
	return "are off"
}

func auditFaults(w io.Writer, r *audit.Report, _ *time.Location) error {
	var off, missing [][]any
	say := func(day billing.Day, what string) { off = append(off, []any{day.String(), what}) }
	name := func(day billing.Day, list []settle.Missing) {
		for _, m := range list {
			missing = append(missing, []any{day.String(), m.Topic, m.Partition, offsets(m.From, m.To),
				string(m.Kind), m.Table})
		}
	}
	for i := range r.Lines {
		l := &r.Lines[i]
		if fault := l.Fault(); fault != "" {
			say(l.Day, fmt.Sprintf("%s/%d: %s", l.Topic, l.Partition, fault))
		}
		name(l.Day, l.Missing)
	}
	for i := range r.Taken {
		say(r.Taken[i].Day, r.Taken[i].Taken.String())
		name(r.Taken[i].Day, r.Taken[i].Missing)
	}
	for _, s := range r.Skipped {
		say(s.Day, s.String())
	}
	if err := section(w, "What is off", []any{"Day", "What"}, off); err != nil {
		return err
	}
	return section(w, "Rows that are missing", []any{"Day", "Topic", "Part.", "Offsets", "Record",
		"No row in"}, missing, 3, 4)
}

func auditGaps(w io.Writer, r *audit.Report, zone *time.Location) error {
	rows := make([][]any, len(r.Gaps))
	for i, g := range r.Gaps {
		rows[i] = []any{g.Topic, g.Partition, offsets(g.From, g.To), g.To - g.From, g.By,
			minute(g.AcceptedAt, zone), g.Reason}
	}
	return section(w, "Gaps that were accepted by hand", []any{"Topic", "Part.", "Offsets", "Lost",
		"By", "At", "Reason"}, rows, 2, 3, 4)
}

func auditEpochs(w io.Writer, r *audit.Report, zone *time.Location) error {
	rows := make([][]any, len(r.Epochs))
	for i := range r.Epochs {
		e := &r.Epochs[i]
		rows[i] = []any{e.Topic, e.Number, e.Log(), e.ClusterID, e.TopicID, e.By,
			minute(e.DeclaredAt, zone), e.Reason}
	}
	return section(w, "Epochs of the topics", []any{"Topic", "Epoch", "Stored as", "Cluster",
		"Topic id", "By", "At", "Reason"}, rows, 2)
}

// minute shows a time of the wall clock.
func minute(at billing.Instant, zone *time.Location) string {
	return at.Time().In(zone).Format("2006-01-02 15:04")
}

// section is a table below a title, if it has rows.
func section(w io.Writer, title string, head []any, rows [][]any, right ...int) error {
	if len(rows) == 0 {
		return nil
	}
	if _, err := fmt.Fprintf(w, "\n%s\n", title); err != nil {
		return err
	}
	return Table(w, head, rows, right...)
}

func auditVerdict(w io.Writer, r *audit.Report, _ *time.Location) error {
	balance := 0
	for i := range r.Lines {
		if r.Lines[i].Balances() {
			balance++
		}
	}
	verdict := "every row stands"
	if len(r.Faults()) > 0 {
		verdict = fmt.Sprintf("%d rows are missing", r.MissingRows())
	}
	_, err := fmt.Fprintf(w, "\n%d of %d books balance; %s\n", balance, len(r.Lines), verdict)
	return err
}
