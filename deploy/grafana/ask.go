package grafana

import (
	"fmt"
	"strings"
	"time"
)

// Question is what a panel asks ClickHouse. Empty tells that there may be no rows.
type Question struct {
	Page, Title, SQL string
	Empty            bool
}

// Questions are what the dashboards ask ClickHouse for a time range and an account, with the macros
// of the plugin and the variables put in.
func Questions(from, to time.Time, account string) ([]Question, error) {
	all, err := All()
	if err != nil {
		return nil, err
	}
	macros := strings.NewReplacer("$__fromTime", fmt.Sprintf("toDateTime(%d)", from.Unix()),
		"$__toTime", fmt.Sprintf("toDateTime(%d)", to.Unix()), "${account}", account)
	var list []Question
	for _, d := range all {
		for _, row := range d.Rows {
			for _, p := range row.Panels {
				if p.SQL == "" {
					continue
				}
				q := Question{Page: d.UID, Title: p.Title, SQL: macros.Replace(p.SQL),
					Empty: p.Empty != ""}
				if i := strings.Index(q.SQL, "$"); i >= 0 {
					return nil, fmt.Errorf("%s: %s: %q is no macro that is known here", q.Page, q.Title,
						q.SQL[i:])
				}
				list = append(list, q)
			}
		}
	}
	return list, nil
}
