package grafana

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"tollstream/pipeline/catalog"
	"tollstream/schemas"
)

// Zone is the time zone of the dashboards: billed days are days in it.
const Zone = "Asia/Shanghai"

// Names of the data source variables, and the plugins that they choose from.
const (
	clickhouse       = "clickhouse"
	clickhousePlugin = "grafana-clickhouse-datasource"
	prometheus       = "prometheus"
)

// Kinds of panels, by Grafana's names.
const (
	Lines = "timeseries"
	Table = "table"
	Stat  = "stat"
)

// Dashboard is a page of panels, as a file of pages/ says it.
type Dashboard struct {
	UID         string `yaml:"uid"`
	Title       string `yaml:"title"`
	Description string `yaml:"description"`
	From        string `yaml:"from"` // the time range that it opens with, such as now-30d
	Refresh     string `yaml:"refresh"`
	Accounts    bool   `yaml:"accounts"` // it has a variable for one account
	Rows        []Row  `yaml:"rows"`
}

// Row is a heading with the panels below it, from left to right.
type Row struct {
	Title  string  `yaml:"title"`
	Panels []Panel `yaml:"panels"`
}

// Panel is one picture or table. It has either SQL or PromQL.
type Panel struct {
	Title       string  `yaml:"title"`
	Description string  `yaml:"description"`
	Kind        string  `yaml:"kind"`
	Unit        string  `yaml:"unit"`   // by Grafana's names; of all numbers that Units does not name
	Width       int     `yaml:"width"`  // of 24
	Height      int     `yaml:"height"` // in steps of 30 pixels
	SQL         string  `yaml:"sql"`
	PromQL      []Query `yaml:"promql"`
	Look        `yaml:",inline"`
}

// Query is a PromQL expression and how its series are called.
type Query struct {
	Expr   string `yaml:"expr"`
	Legend string `yaml:"legend"`
}

// JSON is the dashboard in the form that Grafana's file provisioning reads. Ids and places follow
// from the order, so that a change of one panel changes little.
func (d *Dashboard) JSON() ([]byte, error) {
	b := builder{}
	for i := range d.Rows {
		b.row(&d.Rows[i])
	}
	variables := []any{dataSource(clickhouse, "ClickHouse", clickhousePlugin),
		dataSource(prometheus, "Prometheus", prometheus)}
	if d.Accounts {
		variables = append(variables, accountVariable())
	}
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(map[string]any{
		"uid": d.UID, "title": d.Title, "description": d.Description, "tags": []string{"tollstream"},
		"timezone": Zone, "editable": false, "graphTooltip": 1, "schemaVersion": 42, "version": 1,
		"refresh": d.Refresh, "time": map[string]any{"from": d.From, "to": "now"},
		"templating": map[string]any{"list": variables},
		"links": []any{map[string]any{"type": "dashboards", "title": "tollstream", "asDropdown": true,
			"tags": []string{"tollstream"}, "includeVars": true, "keepTime": true}},
		"panels": b.panels,
	})
	return out.Bytes(), err
}

// builder places panels.
type builder struct {
	panels []any
	y      int
}

func (b *builder) row(r *Row) {
	b.add("row", map[string]any{"title": r.Title, "collapsed": false, "panels": []any{}}, 0, 24, 1)
	b.y++
	x, height := 0, 0
	for i := range r.Panels {
		p := &r.Panels[i]
		if x+p.Width > 24 {
			x, b.y, height = 0, b.y+height, 0
		}
		b.add(p.Kind, p.body(), x, p.Width, p.Height)
		x, height = x+p.Width, max(height, p.Height)
	}
	b.y += height
}

func (b *builder) add(kind string, body map[string]any, x, w, h int) {
	body["id"], body["type"] = len(b.panels)+1, kind
	body["gridPos"] = map[string]int{"x": x, "y": b.y, "w": w, "h": h}
	b.panels = append(b.panels, body)
}

func (p *Panel) body() map[string]any {
	source, targets := p.targets()
	body := map[string]any{
		"title": p.Title, "description": p.Description, "datasource": source, "targets": targets,
		"fieldConfig": map[string]any{"defaults": p.defaults(), "overrides": p.overrides()},
		"options":     p.options(),
	}
	if p.Kind == Table && len(p.PromQL) > 0 {
		body["transformations"] = p.transformations()
	}
	return body
}

func sourceOf(plugin, variable string) map[string]any {
	return map[string]any{"type": plugin, "uid": "${" + variable + "}"}
}

func (p *Panel) targets() (source map[string]any, targets []any) {
	if p.SQL != "" {
		source = sourceOf(clickhousePlugin, clickhouse)
		kind, format := "table", 1
		if p.Kind == Lines {
			kind, format = "timeseries", 0
		}
		return source, []any{map[string]any{"refId": "A", "datasource": source, "editorType": "sql",
			"queryType": kind, "format": format, "rawSql": strings.TrimSpace(p.SQL)}}
	}
	source = sourceOf(prometheus, prometheus)
	format := "time_series"
	if p.Kind == Table {
		format = "table"
	}
	for i, q := range p.PromQL {
		targets = append(targets, map[string]any{"refId": string(rune('A' + i)), "datasource": source,
			"expr": q.Expr, "legendFormat": q.Legend, "instant": p.Kind != Lines,
			"range": p.Kind == Lines, "format": format})
	}
	return source, targets
}

func dataSource(name, label, plugin string) map[string]any {
	return map[string]any{"name": name, "label": label, "type": "datasource", "query": plugin,
		"refresh": 1, "hide": 0, "multi": false, "includeAll": false, "regex": "", "options": []any{}}
}

// AccountsSQL lists the accounts that the variable account chooses from.
const AccountsSQL = "SELECT DISTINCT main_account FROM account_routes ORDER BY main_account"

func accountVariable() map[string]any {
	return map[string]any{"name": "account", "label": "账户 Account", "type": "query",
		"datasource": sourceOf(clickhousePlugin, clickhouse), "refresh": 2, "hide": 0, "multi": false,
		"includeAll": false, "regex": "", "sort": 0, "options": []any{}, "definition": AccountsSQL,
		"query": map[string]any{"refId": "account", "rawSql": AccountsSQL, "editorType": "sql",
			"format": 1, "queryType": "table"}}
}

//go:embed pages/*.yaml
var pages embed.FS

// words stand in pages/ for what several panels say. Days are those of the dashboard's time range
// in the zone of the bills: the plugin's own date filter takes the zone of the machine it runs on.
var words = strings.NewReplacer("{sdk_minimums}", sdkMinimums(), "{sdk_dates}", sdkDates(),
	"{days}", `day >= toDate($__fromTime, '`+Zone+`')
  AND day <= toDate($__toTime, '`+Zone+`')`,
	// A day is closed on the day after it. The times themselves are compared, since tables are sorted
	// by them.
	"{closed_days}", `closed_at >= toDateTime64(toDate($__fromTime, '`+Zone+`') + 1, 6, '`+Zone+`')
  AND closed_at < toDateTime64(toDate($__toTime, '`+Zone+`') + 2, 6, '`+Zone+`')`,
	"{at_day}", "toDateTime(day, '"+Zone+"') AS time",
	"{unbilled_month}", `day >= toStartOfMonth(toDate($__toTime, '`+Zone+`'))
  AND day < toStartOfMonth(toDate($__toTime, '`+Zone+`')) + INTERVAL 1 MONTH
  AND (state = 'open' OR account_id NOT IN (SELECT account_id FROM bill_totals
    WHERE toStartOfMonth(toDate(period_start)) = toStartOfMonth(toDate($__toTime, '`+Zone+`'))
      AND closed_at > toDateTime64(toStartOfMonth(toDate($__toTime, '`+Zone+`')), 6, '`+Zone+`')))`,
	"{account_page}", "/d/tollstream-account?${__url_time_range}&var-account=${__value.raw}",
)

// sdkDates are the days from which on other client libraries are mandated.
func sdkDates() string {
	var days []string
	for _, m := range faceID().SDKMinimums {
		days = append(days, fmt.Sprintf("toDate('%s')", m.From))
	}
	slices.Sort(days)
	return "[" + strings.Join(slices.Compact(days), ", ") + "]"
}

func faceID() *catalog.Catalog {
	cat, err := catalog.Parse("faceid/catalog.yaml", schemas.FaceIDCatalog())
	if err != nil {
		panic(err) // tests of the catalogue say what is wrong with it
	}
	return cat
}

// sdkMinimums are the rows of the oldest client libraries that the catalogue allows.
func sdkMinimums() string {
	cat := faceID()
	var rows []string
	for i := range cat.SDKMinimums {
		m := &cat.SDKMinimums[i]
		rows = append(rows, fmt.Sprintf("(%d, '%s', ['%s'], '%s', '%s')", i,
			strings.ToLower(m.Platform), strings.Join(m.Names, "', '"), m.Version, m.From))
	}
	return strings.Join(rows, ",\n      ")
}

// All are the dashboards, in the order in which an operator asks.
func All() ([]Dashboard, error) {
	var all []Dashboard
	for _, name := range []string{"pipeline", "billing", "account", "quality"} {
		text, err := pages.ReadFile("pages/" + name + ".yaml")
		if err != nil {
			return nil, err
		}
		var d Dashboard
		decoder := yaml.NewDecoder(bytes.NewReader(text))
		decoder.KnownFields(true)
		if err := decoder.Decode(&d); err != nil {
			return nil, fmt.Errorf("pages/%s.yaml: %w", name, err)
		}
		for i := range d.Rows {
			for j := range d.Rows[i].Panels {
				p := &d.Rows[i].Panels[j]
				p.SQL, p.Link = words.Replace(p.SQL), words.Replace(p.Link)
			}
		}
		all = append(all, d)
	}
	return all, nil
}

// File is the name of a dashboard's file.
func (d *Dashboard) File() string {
	return fmt.Sprintf("dashboards/%s.json", strings.TrimPrefix(d.UID, "tollstream-"))
}
