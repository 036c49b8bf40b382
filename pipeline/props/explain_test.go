package props

import (
	"strings"
	"testing"

	"tollstream/pipeline/batch"
	"tollstream/pipeline/catalog"
	"tollstream/pipeline/closing/closingtest"
)

// TestExplanationsAddUp: whoever does the sums of a line's explanation by hand comes to the line's
// quantity and amount.
func TestExplanationsAddUp(t *testing.T) {
	cat := mustCatalog(t)
	eachWorld(t, *worlds, func(seed uint64) string {
		w := NewWorld(cat, seed)
		if unexplained(cat, w) == "" {
			return ""
		}
		w = Shrink(w, func(w World) bool { return unexplained(cat, w) != "" })
		return unexplained(cat, w) + "\n" + strings.TrimSpace(Story(cat, w))
	})
}

// unexplained names the first line of a world's bills whose explanation does not add up.
func unexplained(cat *catalog.Catalog, w World) string {
	out, err := batch.Run(cat, w.Records(), w.Until, nil)
	if err != nil {
		return err.Error()
	}
	if err := closingtest.CheckBills(out.Bills); err != nil {
		return err.Error()
	}
	return ""
}
