package grafana

import (
	"maps"
	"slices"
)

// Look is how a panel shows its numbers, where Grafana's own way misleads.
type Look struct {
	Units  map[string]string `yaml:"units"`  // of columns, by their names
	Series string            `yaml:"series"` // the column that names the series of a graph
	Colors map[string]string `yaml:"colors"` // of series, by their names
	Values map[string]Value  `yaml:"values"` // what is shown for a value
	Levels []Level           `yaml:"levels"` // colours of numbers, from the lowest on
	Marked string            `yaml:"marked"` // the column of a table that has these colours
	Stack  bool              `yaml:"stack"`  // lines are shown as stacked bars
	Steps  bool              `yaml:"steps"`  // a value holds until the next one
	Whole  bool              `yaml:"whole"`  // there are no fractions
	Name   string            `yaml:"name"`   // of the numbers of a table that Prometheus gives
	Link   string            `yaml:"link"`   // where the column account_id of a table leads
	Empty  string            `yaml:"empty"`  // what it means that there is nothing to show
}

// Value is what stands for a value.
type Value struct {
	Text  string `yaml:"text"`
	Color string `yaml:"color"`
}

// Level is the colour of numbers that are as high as From, or of all below the next level.
type Level struct {
	From  *float64 `yaml:"from"`
	Color string   `yaml:"color"`
}

// yuan is an amount in full. Grafana has no unit for CNY, and shortens amounts of those it has.
const yuan = "currency:financial:¥"

// Widths of the columns of tables by Grafana's types, in pixels; the others share what is left.
const (
	numberWidth = 110
	timeWidth   = 170
	restWidth   = 90 // at least
)

func (p *Panel) defaults() map[string]any {
	d := map[string]any{"unit": p.Unit, "custom": p.custom()}
	switch {
	case p.Whole:
		d["decimals"] = 0
	case p.Unit == yuan:
		d["decimals"] = 2
	}
	if p.Series != "" {
		d["displayName"] = "${__field.labels." + p.Series + "}"
	}
	if p.Empty != "" {
		d["noValue"] = p.Empty
	}
	if len(p.Values) > 0 {
		d["mappings"] = p.mappings()
	}
	// Without a word Grafana shows every number green, and red from 80 on.
	switch {
	case len(p.Levels) > 0:
		d["thresholds"] = p.thresholds()
		d["color"] = map[string]any{"mode": "thresholds"}
	case p.Kind != Lines:
		d["color"] = fixed("text")
	}
	return d
}

func fixed(color string) map[string]any {
	return map[string]any{"mode": "fixed", "fixedColor": color}
}

func (p *Panel) custom() map[string]any {
	switch p.Kind {
	case Lines:
		custom := map[string]any{"drawStyle": "line", "lineWidth": 1, "fillOpacity": 10,
			"showPoints": "auto", "spanNulls": false}
		if p.Steps {
			custom["lineInterpolation"] = "stepAfter"
		}
		if p.Stack {
			custom["drawStyle"], custom["fillOpacity"] = "bars", 80
			custom["stacking"] = map[string]any{"mode": "normal", "group": "A"}
		}
		return custom
	case Table:
		return map[string]any{"minWidth": restWidth}
	}
	return map[string]any{}
}

func (p *Panel) thresholds() map[string]any {
	var steps []any
	for _, l := range p.Levels {
		steps = append(steps, map[string]any{"value": l.From, "color": l.Color})
	}
	return map[string]any{"mode": "absolute", "steps": steps}
}

func (p *Panel) mappings() []any {
	options := map[string]any{}
	for value, shown := range p.Values {
		options[value] = map[string]any{"text": shown.Text, "color": shown.Color}
	}
	return []any{map[string]any{"type": "value", "options": options}}
}

func (p *Panel) overrides() []any {
	all := []any{}
	add := func(matcher, what, id string, value any) {
		all = append(all, map[string]any{"matcher": map[string]any{"id": matcher, "options": what},
			"properties": []any{map[string]any{"id": id, "value": value}}})
	}
	if p.Kind == Table {
		add("byType", "number", "custom.width", numberWidth)
		add("byType", "time", "custom.width", timeWidth)
	}
	for _, column := range slices.Sorted(maps.Keys(p.Units)) {
		add("byName", column, "unit", p.Units[column])
		if p.Units[column] == yuan {
			add("byName", column, "decimals", 2)
		}
	}
	for _, series := range slices.Sorted(maps.Keys(p.Colors)) {
		add("byName", series, "color", fixed(p.Colors[series]))
	}
	if p.Marked != "" {
		add("byName", p.Marked, "custom.cellOptions", map[string]any{"type": "color-text"})
	}
	if p.Link != "" {
		add("byRegexp", "^account_id$", "links",
			[]any{map[string]any{"title": "Account", "url": p.Link}})
	}
	return all
}

// transformations take the columns away that say nothing, and name the numbers.
func (p *Panel) transformations() []any {
	return []any{map[string]any{"id": "organize", "options": map[string]any{
		"excludeByName": map[string]any{"Time": true},
		"renameByName":  map[string]any{"Value": p.Name}}}}
}

func (p *Panel) options() map[string]any {
	switch p.Kind {
	case Lines:
		return map[string]any{"tooltip": map[string]any{"mode": "multi", "sort": "desc"},
			"legend": map[string]any{"displayMode": "list", "placement": "bottom", "showLegend": true}}
	case Stat:
		fields := "" // numbers; Prometheus gives a time beside them
		if p.SQL != "" {
			fields = "/.*/"
		}
		return map[string]any{"colorMode": "value", "graphMode": "none", "textMode": "auto",
			"reduceOptions": map[string]any{"calcs": []string{"lastNotNull"}, "fields": fields,
				"values": false}}
	}
	return map[string]any{"showHeader": true, "cellHeight": "sm"}
}
