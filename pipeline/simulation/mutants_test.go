package simulation

import (
	"flag"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"tollstream/pipeline/props/mutant"
)

var mutantsFlag = flag.Bool("mutants", false, "break the loops in small ways; all must be noticed")

var onlyFlag = flag.String("only", "", "the mutants whose mistake says this")

// unhealed takes away what heals lost records, and the check at each commit, so that a mistake is
// noticed by what comes out: reading goes on where the commit is and nobody looks for what the
// database lacks, closings do not wait for what is missing, nor for books that do not balance.
var unhealed = []mutant.Edit{
	{File: "ingest/positions.go", Old: "at = max(first, min(missing, a.Offset-l.Rewind))",
		New: "at = max(first, a.Offset)"},
	{File: "ingest/positions.go", Old: "if a.Committed && missing < a.Offset {", New: "if false {"},
	{File: "settle/settle.go", Old: "if err := l.complete(ctx, s); err != nil {", New: "if false {"},
	balanced,
	{File: "simulation/deployment_test.go", Old: "d.readers.Committed = d.checkCommit", New: ""},
}

// balanced lets a closing pass whose books do not balance.
var balanced = mutant.Edit{File: "settle/closer.go",
	Old: "if fault := books.Fault(); fault != \"\" {",
	New: "if fault := books.Fault(); fault == \"never\" {"}

// lossy makes the store forget every seventh copy that it acknowledged, and not know it.
var lossy = []mutant.Edit{
	{File: "simulation/store.go", Old: "\tg := t.copies[key]\n",
		New: "\tif key.billing%7 == 0 {\nreturn\n}\n\tg := t.copies[key]\n"},
	{File: "simulation/store_proof.go", Old: "case f.isCall && !f.copied:", New: "case false:"},
}

func several(mistake, rule string, edits ...mutant.Edit) mutant.Mutant {
	return mutant.Mutant{Mistake: mistake, Rule: rule, Edits: edits}
}

// with adds edits to those of a mistake.
func with(m mutant.Mutant, more ...mutant.Edit) mutant.Mutant {
	m.Edits = slices.Concat(m.Edits, more)
	return m
}

// mistakes are those that the loops are built to avoid, those that simulated worlds found in them,
// and stores that do not keep what the Store interfaces promise.
var mistakes = slices.Concat(readingMistakes, closingMistakes, storeMistakes)

var readingMistakes = []mutant.Mutant{
	mutant.One("offsets are committed before the rows are acknowledged", "B21", "ingest/ingest.go",
		"if _, err := next(ctx, b.written); err != nil {\n\t\t\treturn err\n\t\t}\n",
		""),
	with(mutant.One("the same, and nothing heals it", "B21", "ingest/ingest.go",
		"if _, err := next(ctx, b.written); err != nil {\n\t\t\treturn err\n\t\t}\n",
		""), unhealed...),
	with(mutant.One("a batch that failed is passed over", "B21", "ingest/ingest.go",
		"if err := l.write(ctx, &b.rows); err != nil {\n\t\t\treturn err\n\t\t}\n",
		"_ = l.write(ctx, &b.rows)\n"),
		mutant.Edit{File: "ingest/ingest.go",
			Old: "if err := l.retry(ctx, stepWrite, func() error {",
			New: "if err := func(_ context.Context, _ string, f func() error) error { return f() }" +
				"(ctx, \"\", func() error {"}),
	with(mutant.One("reading goes on behind the highest stored offset", "B21",
		"ingest/positions.go", "positions = append(positions, kafkalog.Position{",
		"at = max(first, l.Store.(interface{ Highest(string, int32) int64 })."+
			"Highest(a.Topic, int32(a.Partition))+1)\n"+
			"positions = append(positions, kafkalog.Position{"),
		slices.Concat(unhealed, []mutant.Edit{
			{File: "simulation/store.go", Old: "// zone is that of the tables' days.",
				New: "func (t *tables) Highest(topic string, partition int32) int64 {\n" +
					"high := int64(-1)\nfor offset := range t.deliveries[logKey{topic, partition}] {\n" +
					"high = max(high, offset)\n}\nreturn high\n}\n"}})...),
	with(mutant.One("the highest offset is committed, not the lowest that is not stored", "B21",
		"ingest/round.go",
		"r.next[kafkalog.TopicPartition{Topic: f.Topic, Partition: f.Partition}] = next",
		"r.next[kafkalog.TopicPartition{Topic: f.Topic, Partition: f.Partition}] = f.LastStable"),
		unhealed...),
	mutant.One("a member without partitions ends its loop", "B21", "ingest/ingest.go",
		"<-ctx.Done()\n\t\treturn nil\n\t}\n\tl.lag", "return nil\n\t}\n\tl.lag"),
	mutant.One("holes without records are not stored", "B21", "ingest/round.go",
		"r.offsets += f.Next - at[i].Offset", "r.offsets += int64(len(f.Records))"),
}

var closingMistakes = []mutant.Mutant{
	with(mutant.One("a closing does not wait for its records", "B21", "settle/settle.go",
		"if err := l.complete(ctx, s); err != nil {", "if false {"), balanced),
	mutant.One("bills are published before the books are counted", "B21", "settle/closer.go",
		"books, err := c.loop.Store.FinishClosing(ctx, w) // 5",
		"if err := c.publish(ctx); err != nil {\nreturn \"\", err\n}\n"+
			"books, err := c.loop.Store.FinishClosing(ctx, w)"),
	mutant.One("a closing is marked as done before it is published", "B21", "settle/closer.go",
		"if err := c.publish(ctx); err != nil { // 6",
		"if err := c.loop.Store.WriteSettlement(ctx, c.settlement, books); err != nil {\n"+
			"return \"\", err\n}\nif err := c.publish(ctx); err != nil {"),
	mutant.One("a voided call is forgotten", "B27", "settle/claims.go",
		"m.voided = append(m.voided, copied.Record)\n", ""),
	mutant.One("what is refused keeps the reason of its arrival", "B6", "settle/claims.go",
		"m.requalified = append(m.requalified,",
		"if call.Cohort != \"\" {\ncontinue\n}\nm.requalified = append(m.requalified,"),
	mutant.One("a refused event that waited counts as accepted", "B14", "settle/closer.go",
		"|| c.refused[q.Arrival]:", ":"),
	mutant.One("statuses are said of what lies beyond the closing at hand", "B24",
		"settle/status.go", "|| at.Appended >= l.upcoming.At;", ";"),
}

var storeMistakes = []mutant.Mutant{
	several("a copy is told by its batch, as an insert token does, not by its call", "B4",
		mutant.Edit{File: "simulation/store.go", Old: "c.Arrival.Topic}\n\tg := t.copies[key]",
			New: "c.Arrival.Topic + t.token}\n\tg := t.copies[key]"},
		mutant.Edit{File: "simulation/store.go",
			Old: "s.tear.each(b.Calls.Len(), func(i int)",
			New: "if n := b.Deliveries.Len(); n > 0 {\nfirst, last := b.Deliveries.At(0), " +
				"b.Deliveries.At(n-1)\ns.token = first.Arrival.Place() + last.Arrival.Place()\n}\n" +
				"s.tear.each(b.Calls.Len(), func(i int)"},
		mutant.Edit{File: "simulation/store.go", Old: "\tsweep       sweep\n",
			New: "\tsweep       sweep\n\ttoken string\n"}),
	several("a lost copy is waiting, since that is what the other terms leave", "B21",
		slices.Concat(lossy, []mutant.Edit{{File: "simulation/store_proof.go",
			Old: "\tif data != terms && len(p.Odd) < 10 {",
			New: "\tif terms < data {\np.Waiting, terms = p.Waiting+1, data\n}\n" +
				"\tif data != terms && len(p.Odd) < 10 {"}})...),
	several("a copy is lost, and the books are not asked", "B21",
		slices.Concat(lossy, []mutant.Edit{balanced})...),
	several("the books count a record again that was delivered again", "B21",
		mutant.Edit{File: "simulation/store.go",
			Old: "\tt.deliveries[log][d.Arrival.Offset] = d\n",
			New: "\tif old, again := t.deliveries[log][d.Arrival.Offset]; again && old.IDHash != 0 {\n" +
				"t.again[placeOf(d.Arrival)]++\n}\n\tt.deliveries[log][d.Arrival.Offset] = d\n"},
		mutant.Edit{File: "simulation/store.go", Old: "\tsweep       sweep\n",
			New: "\tsweep       sweep\n\tagain map[place]int64\n"},
		mutant.Edit{File: "simulation/store.go", Old: "\tt := &tables{\n",
			New: "\tt := &tables{again: map[place]int64{},\n"},
		mutant.Edit{File: "simulation/store_proof.go",
			Old: "count(&p, &f, outcome, takenBy[f.IDHash])",
			New: "count(&p, &f, outcome, takenBy[f.IDHash])\np.Duplicate += t.again[place{log, offset}]"},
		balanced),
	mutant.One("a closing reads the accounts that it wrote itself", "B22",
		"simulation/store_window.go", "if rows[i].closedAt < before {",
		"if rows[i].closedAt <= before {"),
	mutant.One("a closing does not see the calls that it took before a crash", "B22",
		"simulation/store_window.go", "taken.closedAt < w.Moment.At {",
		"taken.closedAt <= w.Moment.At {"),
	mutant.One("the copy that was stored last counts", "B4", "simulation/store.go",
		"return a.Arrival.Compare(b.Arrival)\n\t})\n\tif found",
		"return b.Arrival.Compare(a.Arrival)\n\t})\n\tif found"),
}

// TestMutantsAreOfTheseLoops: a change of the loops leaves no mutant behind.
func TestMutantsAreOfTheseLoops(t *testing.T) {
	if err := mutant.Fit("..", mistakes); err != nil {
		t.Error(err)
	}
}

// inWorld finds the world that failed, and the first line of what it says.
var inWorld = regexp.MustCompile(`world (\d+) [^\n]*\n\s*([^\n]{0,90})`)

// TestMutants makes one mistake after another in the loops, or in the models, and wants simulated
// worlds to notice each; nothing is to be noticed where there is none.
func TestMutants(t *testing.T) {
	if !*mutantsFlag {
		t.Skip("takes minutes; run it with -mutants (make mutants)")
	}
	if output, failed := runMutant(t, nil); failed {
		t.Fatalf("nothing is broken, and the worlds say so:\n%s", output)
	}
	for _, m := range mistakes {
		if !strings.Contains(m.Mistake, *onlyFlag) {
			continue
		}
		output, failed := runMutant(t, m.Edits)
		found := inWorld.FindStringSubmatch(output)
		switch {
		case failed && found != nil:
			t.Logf("%s (%s): in world %s: %s", m.Mistake, m.Rule, found[1], found[2])
		case failed:
			t.Errorf("%s: does not build:\n%s", m.Mistake, output)
		default:
			t.Errorf("%s: the worlds say nothing of it", m.Mistake)
		}
	}
}

// runMutant runs worlds with some edits; failed tells that something went wrong.
func runMutant(t *testing.T, edits []mutant.Edit) (output string, failed bool) {
	t.Helper()
	overlay, err := mutant.Overlay(t.TempDir(), "..", edits)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", "test", "-overlay", overlay, "-count=1", "-vet=off", "-timeout=30m",
		"-run", "^TestWorlds$", ".", "-args", "-worlds=400", "-brief")
	bytes, err := cmd.CombinedOutput()
	return string(bytes), err != nil
}
