package chaos

import (
	"errors"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tollstream/pipeline/props/mutant"
)

// pipelineMutant is the pipeline with one of its promises broken.
type pipelineMutant struct {
	name, mistake string
	edits         []mutant.Edit
}

// notHealing has ingest believe the commit. The pipeline looks, when it starts and every few
// seconds, whether what was committed is stored, and reads again what is not; so it would mend
// what most of the mutants break.
var notHealing = mutant.Edit{File: positions, Old: `
	case a.Committed:
		end = a.Offset
`, New: `
	case a.Committed:
		return first, a.Offset, nil
`}

const (
	ingest    = "pipeline/ingest/ingest.go"
	positions = "pipeline/ingest/positions.go"
	sweep     = "pipeline/usage/usage.go"
	window    = "sinks/clickhouse/settle_stored.go"
	insertion = "sinks/clickhouse/native.go"
	tables    = "schemas/clickhouse/0001_input.sql"
)

// control is the pipeline that does not heal itself and is right nevertheless.
const control = "control"

var mutants = []pipelineMutant{
	{control, "nothing", nil},
	{"commit-before-ack", "offsets are committed before the rows are acknowledged", []mutant.Edit{
		{File: ingest, Old: `
		if _, err := next(ctx, b.written); err != nil {
			return err
		}
`, New: `
		if err := gen.Commit(b.next); err != nil {
			return err
		}
		if _, err := next(ctx, b.written); err != nil {
			return err
		}
`}}},
	{"low-water-mark", "a batch that fails is passed over; the next one commits", []mutant.Edit{
		{File: ingest, Old: `backoff.WithMaxElapsedTime(0)`, New: `backoff.WithMaxTries(1)`},
		{File: ingest, Old: `
		if err := l.write(ctx, &b.rows); err != nil {
			return err
		}
`, New: `
		_ = l.write(ctx, &b.rows)
`}}},
	{"max-offset", "reading goes on behind the greatest offset of calls and events", []mutant.Edit{
		{File: positions, Old: `
		first, missing, err := l.missing(ctx, *a)
`, New: `
		first, end, _, err := l.Log.Offsets(ctx, a.Topic, a.Partition)
		if err != nil {
			return nil, err
		}
		missing, err := l.Store.FirstMissing(ctx, a.Topic, int32(a.Partition), first, end)
		a.Offset, a.Committed = missing, true
`},
		{File: window, Old: `
	ctx context.Context, topic string, partition int32, from, below int64,
) (int64, error) {
`, New: `
	ctx context.Context, topic string, partition int32, from, below int64,
) (int64, error) {
	if from < below {
		err := s.conn.QueryRow(ctx, "SELECT if(count() = 0, 0, max(offset) + 1) FROM "+
			"(SELECT topic, partition, offset FROM call_copies UNION ALL "+
			"SELECT topic, partition, offset FROM account_events) "+
			"WHERE topic = ? AND partition = ?", topic, partition).Scan(&from)
		return from, err
	}
`}}},
	// Usage writes calls again that had waited for their account, which only a set allows.
	{"token-dedupe", "inserts are told apart by their ends, and rows by their insert", []mutant.Edit{
		{File: sweep, Old: `
	if batch.Calls.Len() == 0 {
		return nil
	}
	if err := o.Store.WriteBatch(`, New: `
	if true {
		return nil
	}
	if err := o.Store.WriteBatch(`},
		{File: tables, Old: `
    ver UInt128 MATERIALIZED`, New: `
    inserted UInt64 MATERIALIZED rand64(),
    ver UInt128 MATERIALIZED`},
		{File: tables, Old: `
ORDER BY (account_id, occurred_at, call_id, billing_hash, topic)
`, New: `
ORDER BY (account_id, occurred_at, call_id, billing_hash, topic, inserted)
SETTINGS non_replicated_deduplication_window = 10000
`},
		{File: insertion, Old: `
	"github.com/ClickHouse/ch-go/compress"
`, New: `
	"github.com/ClickHouse/ch-go/compress"
	"github.com/ClickHouse/clickhouse-go/v2"
`},
		{File: insertion, Old: `
	return s.insertNative(ctx, table, b.names, b)
`, New: `
	if table == "call_copies" {
		token := fmt.Sprint(len(b.order), b.order[0], b.order[len(b.order)-1])
		ctx = clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{
			"insert_deduplication_token": token}))
	}
	return s.insertNative(ctx, table, b.names, b)
`}}},
}

// lackMax is how long something may be committed and not stored. Since nobody reads it again, it is
// as lost as it will ever be; only a batch that is being written just then could still come.
const lackMax = time.Minute

// project is the folder of the project, seen from here.
const project = "../.."

// all are the edits of a mutant with those of the control.
func (m *pipelineMutant) all() []mutant.Edit {
	return append([]mutant.Edit{notHealing}, m.edits...)
}

// TestMutantsAreOfThisPipeline wants each mutant's old text to be there, so that it is noticed at
// once when a change of the pipeline leaves a mutant behind.
func TestMutantsAreOfThisPipeline(t *testing.T) {
	for i := range mutants {
		if _, err := mutant.Apply(project, mutants[i].all()); err != nil {
			t.Errorf("%s: %v", mutants[i].name, err)
		}
	}
}

// TestMutants runs the round with a pipeline in which one thing is broken, or one after another.
// The checker has to find something wrong with each but the control, which shows that a pipeline
// built this way is right where nothing is broken.
func TestMutants(t *testing.T) {
	if *mutantFlag == "" {
		t.Skip("takes minutes; run make chaos MUTANT=all")
	}
	ran := false
	for i := range mutants {
		m := &mutants[i]
		if *mutantFlag != "all" && *mutantFlag != m.name {
			continue
		}
		ran = true
		t.Run(m.name, func(t *testing.T) {
			o := options()
			o.LackMax = lackMax
			report, folder, err := round(t, m.build(t), o)
			noticed := errors.As(err, new(Wrong))
			switch {
			case m.name == control && err != nil, err != nil && !noticed:
				t.Fatalf("%v\nThe timeline, logs and data are kept in %s", err, folder)
			case m.name == control:
				t.Log(report)
			case !noticed:
				t.Fatalf("%s, and nobody noticed: %s", m.mistake, report)
			default:
				t.Logf("%s: noticed by seed %d:\n%v", m.mistake, *seed, err)
			}
			remove(t, folder)
		})
	}
	if !ran {
		var names []string
		for i := range mutants {
			names = append(names, mutants[i].name)
		}
		t.Fatalf("there is no mutant %q: give all, or one of %s", *mutantFlag,
			strings.Join(names, ", "))
	}
}

// build makes the broken program.
func (m *pipelineMutant) build(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	overlay, err := mutant.Overlay(folder, project, m.all())
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(folder, "tollstream")
	build := exec.Command("go", "build", "-overlay", overlay, "-o", program, "./cmd/tollstream")
	build.Dir = project
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%s: does not build: %v\n%s", m.name, err, out)
	}
	return program
}
