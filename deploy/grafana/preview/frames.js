// What the data source plugins and Grafana make of an answer: frames of fields that know their
// names, units and colours.
'use strict';
const { FieldType, fieldMatchers, getDisplayProcessor, standardTransformers,
  standardTransformersRegistry, transformDataFrame } = require('@grafana/data');
const { theme } = require('./paper');

standardTransformersRegistry.setInit(() => {
  const transformation = standardTransformers.organizeFieldsTransformer; // the one that the pages use
  return [{ id: transformation.id, name: transformation.name, transformation: async () => transformation }];
});

// frames gives a panel's frames from the answer of ClickHouse or Prometheus.
async function frames(panel, answer, timeZone) {
  const raw = answer.meta ? fromClickHouse(panel, answer) : fromPrometheus(panel, answer);
  const changed = await new Promise((resolve, fail) =>
    transformDataFrame(panel.transformations ?? [], raw).subscribe({ next: resolve, error: fail }));
  let seriesIndex = 0;
  for (const frame of changed) {
    for (const field of frame.fields) {
      field.config = configOf(panel, field, frame, changed);
      field.state = { seriesIndex: field.type === FieldType.time ? undefined : seriesIndex++ };
      field.display = getDisplayProcessor({ field, theme, timeZone });
    }
  }
  return changed;
}

const STEP = 15_000; // of range queries, in milliseconds; see TestPanels of deploy/prometheus

// Thresholds that every panel has that says nothing of its own.
const DEFAULT = { mode: 'absolute', steps: [{ value: -Infinity, color: 'green' }, { value: 80, color: 'red' }] };

function configOf(panel, field, frame, all) {
  const { defaults, overrides } = panel.fieldConfig;
  const color = { mode: panel.type === 'timeseries' ? 'palette-classic' : 'thresholds' };
  const config = { thresholds: DEFAULT, color, ...field.config, ...defaults, custom: { ...defaults.custom } };
  for (const { matcher, properties } of overrides) {
    if (!fieldMatchers.get(matcher.id).get(matcher.options)(field, frame, all)) continue;
    for (const { id, value } of properties) {
      const [part, name] = id.split('.');
      if (name) config.custom[name] = value; else config[part] = value;
    }
  }
  config.displayName = config.displayName?.replace(/\$\{__field\.labels\.(\w+)}/g,
    (_, label) => field.labels?.[label] ?? '');
  const steps = config.thresholds.steps.map((s) => ({ ...s, value: s.value ?? -Infinity }));
  return { ...config, thresholds: { ...config.thresholds, steps } };
}

// A Date is the midnight of UTC for the plugin, whatever the zone of the dashboard is.
function typed(name, type, values) {
  const plain = type.replace(/^(LowCardinality\(|Nullable\()+/, '');
  const field = (type, to) => ({ name, type, config: {}, values: values.map((v) => (v === null ? null : to(v))) });
  if (plain.startsWith('DateTime')) return field(FieldType.time, (v) => Number(v) * 1000);
  if (plain.startsWith('Date')) return field(FieldType.time, (v) => Date.parse(`${v}T00:00:00Z`));
  if (/^(U?Int|Float|Decimal)/.test(plain)) return field(FieldType.number, Number);
  if (plain.startsWith('Bool')) return field(FieldType.boolean, Boolean);
  return field(FieldType.string, (v) => (typeof v === 'string' ? v : JSON.stringify(v)));
}

function fromClickHouse(panel, { meta, data }) {
  const fields = meta.map(({ name, type }, i) => typed(name, type, data.map((row) => row[i])));
  const long = { refId: 'A', fields, length: data.length };
  return data.length === 0 ? [] : [panel.type === 'timeseries' ? wide(long) : long];
}

// wide makes a field for each value of the string columns, as the plugin does.
function wide({ refId, fields, length }) {
  const time = fields.find((f) => f.type === FieldType.time);
  const keys = fields.filter((f) => f.type === FieldType.string);
  const times = [...new Set(time.values)].sort((a, b) => a - b);
  const found = new Map();
  for (const number of fields.filter((f) => f.type === FieldType.number)) {
    for (let i = 0; i < length; i++) {
      const labels = Object.fromEntries(keys.map((k) => [k.name, k.values[i]]));
      const id = number.name + JSON.stringify(labels);
      if (!found.has(id)) found.set(id, { ...number, labels, values: times.map(() => null) });
      found.get(id).values[times.indexOf(time.values[i])] = number.values[i];
    }
  }
  return { refId, fields: [{ ...time, values: times }, ...found.values()], length: times.length };
}

function fromPrometheus(panel, answers) {
  if (answers.length && panel.targets[0].format === 'table') return [prometheusTable(panel, answers)];
  const times = grid(answers.flatMap((a) => a.points.map(([at]) => Number(at))));
  return answers.map(({ ref, labels, points }) => {
    const { legendFormat } = panel.targets.find((t) => t.refId === ref);
    const at = new Map(points.map(([time, value]) => [Number(time), Number(value)]));
    const displayNameFromDS = (legendFormat || JSON.stringify(labels)).replace(/{{(\w+)}}/g, (_, name) => labels[name]);
    return { refId: ref, length: times.length, fields: [
      { name: 'Time', type: FieldType.time, config: {}, values: times },
      { name: 'Value', type: FieldType.number, labels, config: { displayNameFromDS },
        values: times.map((t) => at.get(t) ?? null) }] };
  });
}

// grid has all moments of a range query, those at which no series has a value included.
function grid(moments) {
  const first = Math.min(...moments), last = Math.max(...moments);
  return Array.from({ length: moments.length && 1 + (last - first) / STEP }, (_, i) => first + i * STEP);
}

function prometheusTable(panel, answers) {
  const names = [...new Set(answers.flatMap((a) => Object.keys(a.labels)))].sort();
  const last = answers.map((a) => a.points.at(-1));
  const column = (name, type, values) => ({ name, type, config: {}, values });
  return { refId: 'A', length: answers.length, fields: [
    column('Time', FieldType.time, last.map(([at]) => Number(at))),
    ...names.map((n) => column(n, FieldType.string, answers.map((a) => a.labels[n] ?? null))),
    column('Value', FieldType.number, last.map(([, v]) => Number(v)))] };
}

module.exports = { frames };
