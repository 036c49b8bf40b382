// Package grafana makes the dashboards: dashboards/*.json, which Grafana reads, from pages/*.yaml,
// which people do, by
//
//	go test ./deploy/grafana -update
//
// and the test fails while they say anything else. What the panels ask ClickHouse is tried out on
// the demo's month by TestDemo of cmd/tollstream. Titles that finance reads are in both languages.
package grafana
