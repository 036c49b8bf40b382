// Draws the dashboards as Grafana would show them: `node draw.js FOLDER`. FOLDER/data has what the
// panels' queries gave (see make dashboards-preview); the pictures go into FOLDER. Names, numbers,
// colours and transformations are those of @grafana/data, so that a unit or an override that
// Grafana does not know looks wrong here as well.
'use strict';
// @grafana/data asks what browser it runs in, as it loads and as it transforms.
globalThis.navigator ??= { languages: ['en-US'] };
const fs = require('node:fs');
const path = require('node:path');
const { frames } = require('./frames');
const { kinds } = require('./kinds');
const { png, svg, text, theme } = require('./paper');
globalThis.window ??= {};

// Sizes in pixels: those of Grafana on a wide screen.
const WIDTH = 1600, COLUMN = WIDTH / 24, ROW = 38, GAP = 8, HEAD = 48;

const folder = process.argv[2];
const read = (name) => JSON.parse(fs.readFileSync(path.join(folder, 'data', name)));
const month = read('clickhouse.json');
const moments = read('prometheus.json');
const pages = fs.readdirSync(path.join(__dirname, '../dashboards')).map((name) =>
  ({ name: path.basename(name, '.json'), ...require(path.join(__dirname, '../dashboards', name)) }));

async function main() {
  for (const page of pages) {
    process.env.TZ = page.timezone; // of the axes of time
    for (const moment of moments) {
      // What the other pages show hardly changes within minutes.
      if (moment.name === 'end' || page.refresh === '15s') await draw(page, moment);
    }
  }
}

async function draw(page, moment) {
  const name = moment.name === 'end' ? page.name : `${page.name}-${moment.name}`;
  const parts = await Promise.all(page.panels.map(async (panel) => {
    const { x, y, w, h } = panel.gridPos;
    const box = { x: x * COLUMN + GAP / 2, y: HEAD + y * ROW, w: w * COLUMN - GAP, h: h * ROW - GAP };
    if (panel.type === 'row') return text(panel.title, box.x, box.y + 20, { size: 15, bold: true });
    const picture = png(await drawPanel(page, panel, moment, box), box.w);
    save(path.join('panels', name, `${panel.title.replaceAll(/[ /:,]+/g, ' ')}.png`), picture);
    return `<image x="${box.x}" y="${box.y}" width="${box.w}" height="${box.h}" ` +
      `href="data:image/png;base64,${picture.toString('base64')}"/>`;
  }));
  const height = HEAD + ROW * Math.max(...page.panels.map((p) => p.gridPos.y + p.gridPos.h));
  const title = text(page.title, GAP, 32, { size: 20, bold: true });
  save(`${name}.png`, png(svg(WIDTH, height, theme.colors.background.canvas, title + parts.join('')), WIDTH));
}

async function drawPanel(page, panel, moment, box) {
  const source = panel.targets[0].rawSql ? month : moment;
  const answer = source.pages[page.uid]?.[panel.title];
  const kind = kinds[panel.type];
  if (!kind || !answer) throw new Error(`${page.uid}: ${panel.title}: ${kind ? 'no answer' : `kind ${panel.type}`}`);
  return kind(panel, await frames(panel, answer, page.timezone), box, source);
}

function save(name, picture) {
  const file = path.join(folder, name);
  fs.mkdirSync(path.dirname(file), { recursive: true });
  fs.writeFileSync(file, picture);
  if (!name.startsWith('panels')) console.log(file);
}

main();
