package clickhouse

import (
	"fmt"
	"testing"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/closing"
	"tollstream/pipeline/props"
	"tollstream/pipeline/simulation"
	"tollstream/schemas/clickhouse/cluster/clustertest"
)

// newCluster gives an empty, migrated database on a cluster of so many shards. One is a real one as
// far as the engine has it; several are made by hand (clustertest).
func newCluster(t testing.TB, shards int) *Store {
	t.Helper()
	options := freshOptions(t)
	options.Cluster = "main"
	options.Addr = clustertest.New(t, options.Addr, shards)
	if _, err := Migrate(t.Context(), options, false); err != nil {
		t.Fatal(err)
	}
	return reopen(t, options)
}

// TestModelIsCluster: the loops read from a cluster what they read from the model, which knows of no
// shards, for the same worlds as of one server.
func TestModelIsCluster(t *testing.T) {
	cat, err := props.Catalog()
	if err != nil {
		t.Fatal(err)
	}
	for _, shards := range []int{1, 3} {
		for _, seed := range modelWorlds {
			t.Run(fmt.Sprintf("shards%d/world%d", shards, seed), func(t *testing.T) {
				p := &pair{t: t, model: simulation.NewStore(nil, cat),
					actual: newCluster(t, shards).Using(cat), failed: map[billing.Instant]bool{}}
				w := props.NewWorld(cat, seed)
				p.run(cat, w.Records(), closing.LastMomentBy(cat, w.Until).At)
				t.Logf("%d reads, %d closings", p.reads, len(p.failed))
				merge(t, p.actual)
				p.checkQuarantine()
			})
		}
	}
}
