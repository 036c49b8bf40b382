// The kinds of panels that the pages use, each drawn as SVG.
'use strict';
const echarts = require('echarts');
const { FieldType, formattedValueToString, getFieldDisplayName, getFieldDisplayValues,
  getFieldSeriesColor } = require('@grafana/data');
const { FONT, svg, text, theme, widthOf } = require('./paper');

const { text: inks, border, background } = theme.colors;
const PAD = 12, TOP = 40, CELL = 36, LEGEND_ROW = 26;

// card is a panel's box with its title, or what Grafana says where there is nothing to show.
function card(panel, box, content) {
  const nothing = () => text(panel.fieldConfig.defaults.noValue ?? 'No data', box.w / 2, box.h / 2 + 10,
    { size: 16, fill: inks.secondary, anchor: 'middle', width: box.w - 2 * PAD });
  return svg(box.w, box.h, background.primary, text(panel.title, PAD, 25, { bold: true, width: box.w - 2 * PAD }) +
    (content ?? nothing()));
}

function timeseries(panel, frames, box, { from, to }) {
  const fields = frames.flatMap((frame) => frame.fields.filter((f) => f.type === FieldType.number)
    .map((field) => ({ field, name: getFieldDisplayName(field, frame, frames),
      times: frame.fields.find((f) => f.type === FieldType.time).values })));
  if (fields.length === 0) return card(panel, box);
  const { rows, shown } = legend(fields.map((f) => f.name), box);
  const display = fields[0].field.display;
  const chart = echarts.init(null, null, { renderer: 'svg', ssr: true, width: box.w, height: box.h });
  chart.setOption({
    animation: false, textStyle: { fontFamily: FONT, color: inks.primary },
    grid: { left: PAD, right: 20, top: TOP + 6, bottom: 8 + rows * LEGEND_ROW, containLabel: true },
    xAxis: { type: 'time', min: from, max: to, axisLabel: { color: inks.secondary, hideOverlap: true },
      axisLine: { lineStyle: { color: border.medium } } },
    yAxis: { type: 'value', minInterval: fields[0].field.config.decimals === 0 ? 1 : undefined, axisLabel: { color: inks.secondary,
      formatter: (v) => formattedValueToString(display(v)) }, splitLine: { lineStyle: { color: border.weak } } },
    legend: { left: PAD, bottom: 4, icon: 'roundRect', itemWidth: 14, itemHeight: 4, itemGap: 12, data: shown,
      textStyle: { color: inks.primary, fontFamily: FONT } },
    series: fields.map(line),
  });
  const left = fields.length - shown.length;
  const more = left > 0 ? text(`+${left} below`, box.w - PAD, box.h - 8, { size: 12, anchor: 'end', fill: inks.secondary }) : '';
  const picture = chart.renderToSVGString();
  chart.dispose();
  return card(panel, box, picture + more);
}

function line({ field, name, times }) {
  const { drawStyle, fillOpacity, lineInterpolation, lineWidth, stacking } = field.config.custom;
  const { color } = getFieldSeriesColor(field, theme);
  return { name, type: drawStyle === 'bars' ? 'bar' : 'line', color, barCategoryGap: '15%',
    data: times.map((t, i) => [t, field.values[i]]), stack: stacking?.mode === 'normal' ? stacking.group : undefined,
    step: lineInterpolation === 'stepAfter' && 'end',
    showSymbol: times.length < 30 && drawStyle !== 'bars', symbolSize: 4, lineStyle: { width: lineWidth },
    areaStyle: { opacity: fillOpacity / 100 } };
}

// legend gives what Grafana shows below a graph without scrolling: a third of the panel at most.
function legend(names, box) {
  const most = Math.max(1, Math.floor(box.h * 0.35 / LEGEND_ROW));
  let rows = 1, x = PAD;
  const shown = names.filter((name) => {
    const width = 14 + 5 + widthOf(name, 12) + 12;
    if (x + width > box.w - PAD) { rows++; x = PAD; }
    x += width;
    return rows <= most;
  });
  return { rows: Math.min(rows, most), shown };
}

function stat(panel, frames, box) {
  const { reduceOptions } = panel.options;
  const values = frames.length === 0 ? [] : getFieldDisplayValues({ fieldConfig: panel.fieldConfig, reduceOptions, theme,
    data: frames, replaceVariables: (s) => s });
  if (values.length === 0) return card(panel, box);
  const width = box.w / values.length;
  return card(panel, box, values.map(({ display }, i) => {
    const s = formattedValueToString(display), x = (i + 0.5) * width;
    const size = Math.min(44, 44 * (width - 2 * PAD) / widthOf(s, 44), box.h / 2);
    const fill = display.color ?? inks.primary;
    const name = values.length > 1 ? text(display.title, x, box.h - PAD, { anchor: 'middle', fill: inks.secondary, width }) : '';
    return text(s, x, box.h / 2 + 24, { size, anchor: 'middle', bold: true, fill }) + name;
  }).join(''));
}

// table has columns with a width of their own, and such as share what is left. One scrolls to what
// has no place.
function table(panel, frames, box) {
  const frame = frames[0];
  const all = (frame?.fields ?? []).filter((f) => !f.config.custom.hidden);
  if (all.length === 0) return card(panel, box);
  const widths = all.map((f) => f.config.custom.width);
  const rest = (box.w - widths.reduce((sum, w) => sum + (w ?? 0), 0)) / widths.filter((w) => !w).length;
  let right = 0;
  const columns = all.map((field, i) => {
    const width = widths[i] ?? Math.max(rest, field.config.custom.minWidth), x = right;
    right += width;
    return { field, x, width };
  }).filter(({ x, width }) => x + width <= box.w + 1);
  const rows = Math.min(frame.length, Math.floor((box.h - TOP) / CELL) - 1);
  const cell = (s, { field, x, width }, row, options) => {
    const end = field.type === FieldType.number;
    return text(s, end ? x + width - PAD : x + PAD, TOP + row * CELL + 23,
      { size: 13, width: width - 2 * PAD, anchor: end ? 'end' : 'start', ...options });
  };
  const head = columns.map((c) => cell(getFieldDisplayName(c.field, frame, frames), c, 0, { bold: true }));
  const body = columns.flatMap((c) => c.field.values.slice(0, rows).map((v, row) => {
    const shown = c.field.display(v);
    return cell(v === null ? '' : formattedValueToString(shown), c, row + 1, { fill: ink(c.field, shown) });
  }));
  const lines = Array.from({ length: rows + 1 }, (_, row) =>
    `<rect y="${TOP + (row + 1) * CELL}" width="${box.w}" height="1" fill="${border.weak}"/>`);
  const hidden = [frame.length - rows && `${frame.length - rows} more rows`,
    all.length - columns.length && `${all.length - columns.length} more columns`].filter(Boolean).join(', ');
  const note = hidden && text(`↓ ${hidden}`, box.w - PAD, 25, { size: 12, anchor: 'end', fill: theme.colors.warning.text });
  return card(panel, box, [...head, ...body, ...lines, note].join(''));
}

function ink(field, shown) {
  if (field.config.links?.length) return inks.link;
  return field.config.custom.cellOptions?.type === 'color-text' ? shown.color : inks.primary;
}

module.exports = { kinds: { timeseries, stat, table } };
