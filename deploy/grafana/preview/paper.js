// Text, boxes and pictures, in the colours of Grafana's dark theme and in a font that has Chinese.
'use strict';
const path = require('node:path');
const { format } = require('echarts');
const { createTheme } = require('@grafana/data');
const { Resvg } = require('@resvg/resvg-js');

const theme = createTheme({ colors: { mode: 'dark' } });
const FONT = 'Noto Sans SC';
const folder = path.dirname(require.resolve('@expo-google-fonts/noto-sans-sc/package.json'));
const fontFiles = ['400Regular/NotoSansSC_400Regular.ttf', '500Medium/NotoSansSC_500Medium.ttf']
  .map((name) => path.join(folder, name));

const escape = (s) => s.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
const widthOf = (s, size) => format.getTextRect(s, `${size}px ${FONT}`).width;

function svg(width, height, background, content) {
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" font-family="${FONT}">` +
    `<rect width="100%" height="100%" fill="${background}"/>${content}</svg>`;
}

// text stands with its base line at y; what is wider than the width ends in dots.
function text(s, x, y, { size = 14, bold, fill = theme.colors.text.primary, anchor = 'start', width } = {}) {
  const short = width ? format.truncateText(String(s), width, `${size}px ${FONT}`, '...') : String(s);
  return `<text x="${x}" y="${y}" font-size="${size}" fill="${fill}" text-anchor="${anchor}"` +
    `${bold ? ' font-weight="500"' : ''}>${escape(short)}</text>`;
}

function png(source, width) {
  return new Resvg(source, { fitTo: { mode: 'width', value: Math.round(width) },
    font: { fontFiles, loadSystemFonts: false, defaultFontFamily: FONT } }).render().asPng();
}

module.exports = { FONT, png, svg, text, theme, widthOf };
