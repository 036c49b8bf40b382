package main

import (
	"errors"
	"image/color"
	"os"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
)

// Measures of the chart.
const (
	chartWidth  = 9 * vg.Inch
	chartHeight = 7 * vg.Inch
	chartPad    = 3 * vg.Millimeter
	barWidth    = 5 * vg.Millimeter
)

// What the bars of the second plot show, from the axis outwards.
var (
	barMeanings = []string{"the process that reads", "ClickHouse"}
	barColors   = []color.Color{color.RGBA{R: 0x1f, G: 0x77, B: 0xb4, A: 0xff},
		color.RGBA{R: 0xf2, G: 0xa9, B: 0x3b, A: 0xff}}
)

// chart draws the medians: records per second above, CPU seconds for a million records below, those
// of ClickHouse on the ends of those of the process that reads.
func (r *report) chart(path string) error {
	var names []string
	var rates, pipeline, server plotter.Values
	for i := len(r.Results) - 1; i >= 0; i-- { // the first one on top
		x := r.Results[i]
		if x.Fault == "" && x.Name != fetchName && x.Name != insertName { // parts of the floor
			names, rates = append(names, x.Name), append(rates, x.Rate.Median)
			pipeline = append(pipeline, x.PipelineCPU.Median)
			server = append(server, x.ClickHouseCPU.Median)
		}
	}
	if len(names) == 0 {
		return errors.New("no chart: no contender counts")
	}
	above, err := barPlot("records per second", names, rates)
	if err != nil {
		return err
	}
	below, err := barPlot("CPU seconds for a million records", names, pipeline, server)
	if err != nil {
		return err
	}
	canvas := vgimg.New(chartWidth, chartHeight)
	tiles := plot.Align([][]*plot.Plot{{above}, {below}},
		draw.Tiles{Rows: 2, Cols: 1, PadY: vg.Centimeter, PadTop: chartPad, PadBottom: chartPad,
			PadLeft: chartPad, PadRight: chartPad}, draw.New(canvas))
	above.Draw(tiles[0][0])
	below.Draw(tiles[1][0])
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = vgimg.PngCanvas{Canvas: canvas}.WriteTo(file)
	return errors.Join(err, file.Close())
}

// barPlot has a bar for each name; further values stand on the ends of the first.
func barPlot(axis string, names []string, values ...plotter.Values) (*plot.Plot, error) {
	p := plot.New()
	p.X.Label.Text, p.X.Min = axis, 0
	p.X.Tick.Marker = plot.TickerFunc(plainTicks)
	p.NominalY(names...)
	var last *plotter.BarChart
	for i, v := range values {
		b, err := plotter.NewBarChart(v, barWidth)
		if err != nil {
			return nil, err
		}
		b.Horizontal, b.Color, b.LineStyle.Width = true, barColors[i], 0
		if last != nil {
			b.StackOn(last)
		}
		if last = b; len(values) > 1 {
			p.Legend.Add(barMeanings[i], b)
		}
		p.Add(b)
	}
	p.Legend.Top = false
	return p, nil
}

// plainTicks are the usual ones, with numbers that have no digits beyond their own.
func plainTicks(from, to float64) []plot.Tick {
	ticks := plot.DefaultTicks{}.Ticks(from, to)
	for i := range ticks {
		if ticks[i].Label != "" { // minor ones have none
			ticks[i].Label = strconv.FormatFloat(ticks[i].Value, 'f', -1, 32)
		}
	}
	return ticks
}
