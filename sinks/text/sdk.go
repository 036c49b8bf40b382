package text

import (
	"fmt"
	"io"

	"tollstream/pipeline/report"
)

// SDKs writes the report of calls with client libraries that are too old.
func SDKs(w io.Writer, r *report.SDKs) error {
	if len(r.Outdated) > 0 {
		rows := make([][]any, len(r.Outdated))
		for i, o := range r.Outdated {
			rows[i] = []any{o.AccountID, o.Platform, o.Name, o.Version, o.Mandated, o.Calls, o.FirstDay,
				o.LastDay}
		}
		err := Table(w, []any{"Account", "Platform", "SDK", "Version", "Mandated", "Calls", "First day",
			"Last day"}, rows, 6)
		if err != nil {
			return err
		}
		fmt.Fprintln(w)
	}
	var below int64
	for _, o := range r.Outdated {
		below += o.Calls
	}
	_, err := fmt.Fprintf(w, "%d calls name an SDK: %d are below the mandated version, %d cannot be "+
		"judged\n", r.Calls, below, r.Unjudged)
	return err
}
