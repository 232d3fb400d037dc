// Draw published results: a chart of two quantities as SVG, and a table of the same points.
// Colours are the style sheet's, so a dark page and paper need no second drawing.
const content = JSON.parse(document.getElementById("content").textContent);
const id = (name) => document.getElementById(name);
const axis = (name) => content.axes.find((each) => each.name === name);

const PAGE = 30;    // rows of the table at first
const REACH = 18;   // pixels from the pointer within which a point is found
const MARGIN = {top: 10, right: 14, bottom: 46, left: 58};
const LETTER = 6.6; // pixels of a name in the chart, on average
const NOT_COMPARED = 1e-9;
const DOT = "M0-2.9a2.9 2.9 0 1 0 .01 0z";
const DIAMOND = "M0-7 5.5 0 0 7-5.5 0z";
const SHAPES = [  // of coloured families
  "M0-3.9a3.9 3.9 0 1 0 .01 0z", "M-3.4-3.4h6.8v6.8h-6.8z", "M0-4.4 4.3 3.4-4.3 3.4z", "M-1.4-4.3h2.8v2.9h2.9v2.8H1.4v2.9h-2.8V1.4h-2.9v-2.8h2.9z",
  "M0 4.4-4.3-3.4 4.3-3.4z", "M4.4 0-3.4-4.3-3.4 4.3z", "M-4.4 0 3.4-4.3 3.4 4.3z",
];

function svg(name, attributes = {}, text) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

function html(name, properties, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

const formats = [0, 1, 2, 3].map((maximumFractionDigits) => new Intl.NumberFormat("en", {maximumFractionDigits}));
const fixed = new Intl.NumberFormat("en", {minimumFractionDigits: 1, maximumFractionDigits: 1});
const minus = (text) => text.replace("-", "−");
const tick = (value) => minus(formats[3].format(value));
const tenths = (value) => value == null ? "–" : minus(fixed.format(value));
function number(value) {
  return value == null ? "–" : formats[value < 10 ? 2 : value < 1000 ? 1 : 0].format(value);
}

// A text of at most some characters, without its middle.
function shortened(text, most) {
  const each = [...text], half = Math.floor((most - 1) / 2);
  return each.length <= most ? text : [...each.slice(0, most - 1 - half), "…", ...each.slice(each.length - half)].join("");
}

// Points: an object each, with what a search looks through and what is drawn of it.
const points = content.rows.map((row, index) => {
  const point = Object.fromEntries(content.fields.map((name, column) => [name, row[column]]));
  const own = point.source === "own", paper = !own && point.source !== "timm";
  const said = own ? "measured here" : paper ? content.sources[point.source] : "timm";
  const text = `${point.name} ${point.family} ${point.size} ${point.licence} ${said}`.toLowerCase();
  return Object.assign(point, {index, own, paper, said, text, element: svg("path"), hidden: false});
});
const sameWeights = new Map();
for (const point of points) {
  if (point.gain != null) sameWeights.set(point.name, [...sameWeights.get(point.name) ?? [], point]);
}

const state = {coloured: [...content.highlighted], shown: [], marked: null, sort: null, down: true, all: false};
const chosen = () => ({x: id("x").value, y: id("y").value});

// The chart: groups in the order in which they are drawn.
const chart = id("chart");
const layers = {};
for (const name of ["frame", "front", "other", "coloured", "own", "names", "marks"]) chart.append(layers[name] = svg("g"));
let width = 0, height = 0;

// How an axis places values: `at` gives the share of its length.
function scaleOf(name, other) {
  const about = axis(name), log = about.log && id("log").checked, place = log ? Math.log10 : Number;
  let low = Infinity, high = -Infinity;
  for (const point of points) {
    if (point[name] == null || point[other] == null) continue;
    low = Math.min(low, place(point[name]));
    high = Math.max(high, place(point[name]));
  }
  if (low > high) [low, high] = [0, 1];
  const margin = 0.03 * (high - low) || 1;
  low = about.log && !log ? 0 : low - margin;
  high += margin;
  return {title: about.title, log, low, high, at: (value) => (place(value) - low) / (high - low)};
}

// Round values along an axis, at most about `room`.
function ticks({log, low, high}, room) {
  const digits = (...each) => {
    const found = [];
    for (let power = Math.floor(low); power <= high; power++) found.push(...each.map((digit) => Number(`${digit}e${power}`)));
    return found.filter((value) => Math.log10(value) >= low && Math.log10(value) <= high);
  };
  if (log) return digits(1, 2, 5).length > room ? digits(1) : digits(1, 2, 5);
  const rough = (high - low) / room, power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((each) => each * power >= rough);
  const first = Math.ceil(low / step), count = Math.floor(high / step) - first + 1;
  return Array.from({length: count}, (_, index) => Number(((first + index) * step).toPrecision(12)));
}

// Draw axes and put every point in its place: for other axes and another width.
function place() {
  const {x, y} = chosen(), [across, up] = [scaleOf(x, y), scaleOf(y, x)];
  width = Math.max(chart.clientWidth, 260);
  height = width < 520 ? 380 : 500;
  chart.setAttribute("viewBox", `0 0 ${width} ${height}`);
  chart.setAttribute("aria-label", `Chart of ${up.title} against ${across.title}. Arrow keys go from point to point; the table has the same numbers.`);
  const {top, right, bottom, left} = MARGIN, wide = width - left - right, tall = height - top - bottom;
  const horizontal = (value) => left + wide * across.at(value), vertical = (value) => top + tall * (1 - up.at(value));
  const frame = [];
  for (const value of ticks(across, wide / 75)) {
    const at = horizontal(value).toFixed(1);
    frame.push(svg("path", {class: "grid", d: `M${at} ${top}v${tall}`}), svg("text", {x: at, y: height - bottom + 16, "text-anchor": "middle"}, tick(value)));
  }
  for (const value of ticks(up, tall / 50)) {
    const at = vertical(value).toFixed(1);
    frame.push(svg("path", {class: "grid", d: `M${left} ${at}h${wide}`}), svg("text", {x: left - 6, y: at, dy: ".35em", "text-anchor": "end"}, tick(value)));
  }
  const turned = `translate(13 ${top + tall / 2}) rotate(-90)`;
  frame.push(svg("text", {class: "title", x: left + wide / 2, y: height - 8, "text-anchor": "middle"}, across.title),
    svg("text", {class: "title", transform: turned, "text-anchor": "middle"}, up.title));
  layers.frame.replaceChildren(...frame);
  for (const title of layers.frame.querySelectorAll(".title")) {  // a long one is drawn narrower
    const room = (title.hasAttribute("transform") ? tall : wide) + 40;
    if (title.textContent.length * 6.2 > room) Object.entries({textLength: room, lengthAdjust: "spacingAndGlyphs"}).forEach((pair) => title.setAttribute(...pair));
  }
  for (const point of points) {
    if (point[x] == null || point[y] == null) continue;
    point.left = horizontal(point[x]);
    point.top = vertical(point[y]);
    point.element.setAttribute("transform", `translate(${point.left.toFixed(1)} ${point.top.toFixed(1)})`);
  }
}

// Give every point its shape and its classes: for other axes and other coloured families.
function paint() {
  const {x, y} = chosen(), groups = {other: [], coloured: [], own: []};
  for (const point of points) {
    const family = point.own ? -1 : state.coloured.indexOf(point.family);
    const layer = point.own ? "own" : family >= 0 ? "coloured" : "other";
    const classes = ["point", family >= 0 ? `family-${family}` : layer];
    if (point.paper) classes.push("paper");
    if (point.scaled && (x in point.scaled || y in point.scaled)) classes.push("scaled");
    if (point.gain < 0) classes.push("loses");
    point.element.setAttribute("class", classes.join(" "));
    point.element.setAttribute("d", point.own ? DIAMOND : family >= 0 ? SHAPES[family] : DOT);
    groups[layer].push(point.element);
  }
  for (const [layer, elements] of Object.entries(groups)) layers[layer].replaceChildren(...elements);
}

// The points that the controls leave, and the controls in words.
function filtered() {
  const {x, y} = chosen(), {coloured} = state;
  const terms = id("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  const [size, source, data, licence] = ["size", "source", "data", "licence"].map((name) => id(name).value), only = id("only").checked;
  const passes = (point) => (!size || String(point.size) === size) && (!source || point.paper === (source === "paper"))
    && (!data || String(point.extra) === data) && (!licence || content.permissive.includes(point.licence))
    && (!only || coloured.includes(point.family));
  const words = ["source", "data", "licence"].filter((name) => id(name).value).map((name) => id(name).selectedOptions[0].text);
  if (licence) words.splice(-1, 1, "permissive licence");
  if (size) words.push(`${size} pixels`);
  if (only) words.push("coloured families");
  if (terms.length) words.push(`search “${terms.join(" ")}”`);
  const rows = points.filter((point) => point[x] != null && point[y] != null && (point.own || passes(point))
    && terms.every((term) => point.text.includes(term)));
  return {rows, words};
}

// The points that no other one beats in both quantities, along the horizontal axis.
function front(rows) {
  const {x, y} = chosen(), [along, up] = [axis(x).better, axis(y).better], best = [];
  for (const point of [...rows].sort((a, b) => along * (b[x] - a[x]) || up * (b[y] - a[y]))) {
    if (!best.length || up * (point[y] - best.at(-1)[y]) > NOT_COMPARED) best.push(point);
  }
  return best;
}

function update() {
  const {rows, words} = filtered(), kept = new Set(rows), best = id("front").checked ? front(rows) : [];
  for (const point of points) {
    if (point.hidden === kept.has(point)) point.element.style.visibility = (point.hidden = !point.hidden) ? "hidden" : "";
  }
  state.shown = rows;
  const steps = best.map((point, index) => index ? `H${point.left.toFixed(1)}V${point.top.toFixed(1)}` : `M${point.left.toFixed(1)} ${point.top.toFixed(1)}`);
  layers.front.replaceChildren(svg("path", {class: "front", d: steps.join("")}));
  layers.names.replaceChildren(...rows.filter((point) => point.own).map((point) => {
    const before = point.left > 0.6 * width, room = (before ? point.left : width - point.left) - 9;
    const name = shortened(point.name, Math.floor(room / LETTER));
    return svg("text", {class: "name", x: point.left + (before ? -9 : 9), y: point.top - 6, "text-anchor": before ? "end" : "start"}, name);
  }));
  const names = best.slice(0, 12).map((point) => `${point.name} (${point.size})`);
  id("shown").textContent = `${number(rows.length)} of ${number(points.length)} points${words.length ? `: ${words.join(", ")}` : ""}.`
    + (rows.length ? "" : " No network has both numbers and passes the filters: choose another axis, or clear the search.")
    + (names.length ? ` Dashed: best for their cost, ${best.length} points: ${names.join(", ")}${best.length > names.length ? ", …" : "."}` : "");
  drawMarks();
  write();
}

// What is known of a point, a line each.
function about(point) {
  const known = (kind) => content.axes.filter((each) => each.kind === kind && point[each.name] != null);
  const accuracies = known("accuracy").map((each) => `${each.title.replace(/( top-1)?, per cent$/, "")} ${tenths(point[each.name])}`);
  if (point.mce != null) accuracies.push(`mCE ${tenths(point.mce)}`);
  const speeds = known("speed").map((each) => {
    const size = point.scaled?.[each.name];
    return `${number(point[each.name])} ${each.title}${size ? `, scaled from ${size} pixels` : ""}`;
  });
  const costs = known("cost").map((each) => `${number(point[each.name])} ${each.name === "gmacs" ? "G multiply-accumulates" : "M parameters"}`);
  return [
    `${point.name}, ${point.size} pixels`,
    point.own ? "measured here" : `${point.family}; ${point.extra ? "more images than ImageNet-1K" : "ImageNet-1K alone"}`,
    point.own ? "" : point.paper ? `says: ${point.said}` : `measured by timm; licence of the weights: ${point.licence || "not stated"}`,
    accuracies.join(", "), costs.join(", "), ...speeds,
    point.borrowed ? "cost or speed: timm's of the same architecture" : "",
    point.gain == null ? "" : `${point.gain < 0 ? "loses" : "gains"} ${tenths(Math.abs(point.gain))} points from ${point.gain_sizes} pixels`,
  ].filter(Boolean);
}

// A ring around the marked point and the one under the pointer, and a line through the other sizes of the same weights.
let pointed = null;
function drawMarks() {
  const drawn = [];
  for (const point of new Set([state.marked, pointed])) {
    if (!point || point.hidden) continue;
    const sizes = (sameWeights.get(point.name) ?? []).filter((each) => !each.hidden && !point.paper);
    drawn.push(svg("path", {class: "sizes", d: sizes.map((each, index) => `${index ? "L" : "M"}${each.left.toFixed(1)} ${each.top.toFixed(1)}`).join("")}),
      svg("circle", {class: "ring", cx: point.left.toFixed(1), cy: point.top.toFixed(1), r: 8}));
  }
  layers.marks.replaceChildren(...drawn);
}

function mark(point) {
  state.marked = point;
  id("about").textContent = about(point).join(" · ");
  drawMarks();
}

// The point nearest to the pointer, in the units of the drawing.
function nearest(event) {
  const box = chart.getBoundingClientRect(), unit = width / box.width;
  const [x, y] = [(event.clientX - box.left) * unit, (event.clientY - box.top) * unit];
  let found = null, least = (REACH * unit) ** 2;
  for (const point of state.shown) {
    const distance = (point.left - x) ** 2 + (point.top - y) ** 2;
    if (distance < least) [found, least] = [point, distance];
  }
  return found;
}

function hover(event) {
  const found = event.type === "pointerleave" ? null : nearest(event), box = id("tooltip");
  box.hidden = !found;
  chart.style.cursor = found ? "pointer" : "";
  if (found !== pointed) {
    pointed = found;
    drawMarks();
    if (found) box.replaceChildren(...about(found).map((textContent) => html("div", {textContent})));
  }
  if (!found) return;
  const x = Math.min(event.clientX + 12, document.documentElement.clientWidth - box.offsetWidth - 8);
  const below = event.clientY + 16, y = below + box.offsetHeight < innerHeight ? below : event.clientY - box.offsetHeight - 12;
  box.style.left = `${Math.max(x, 8)}px`;
  box.style.top = `${Math.max(y, 8)}px`;
}

// Arrow keys go to the next point to the left, right, above or below; Home and End to the leftmost and the rightmost.
function walk(event) {
  const steps = {ArrowLeft: ["left", -1], ArrowRight: ["left", 1], ArrowUp: ["top", -1], ArrowDown: ["top", 1], Home: ["left", -Infinity], End: ["left", Infinity]};
  if (!(event.key in steps) || !state.shown.length) return;
  event.preventDefault();
  const [along, step] = steps[event.key], rows = [...state.shown].sort((a, b) => a[along] - b[along]);
  const now = rows.indexOf(state.marked), next = now < 0 && Math.abs(step) === 1 ? 0 : now + step;
  mark(rows[Math.min(Math.max(next, 0), rows.length - 1)]);
}

function columns() {
  const {x, y} = chosen(), speed = [x, y].find((name) => axis(name).kind === "speed");
  const short = {top1: "ImageNet", real: "ReaL", v2: "V2", a: "A", r: "R", sketch: "Sketch", mce: "mCE"};
  return [
    {name: "name", title: "Network", text: true}, {name: "family", title: "Family", text: true}, {name: "size", title: "Pixels"},
    ...Object.entries(short).map(([name, title]) => ({name, title, tenths: true})), {name: "gain", title: "At its largest size", tenths: true},
    {name: "params_m", title: "Params, M"}, {name: "gmacs", title: "MACs, G"}, ...(speed ? [{name: speed, title: "Images/s"}] : []),
    {name: "licence", title: "Licence", text: true}, {name: "said", title: "Said by", text: true},
  ];
}

function sorted(rows) {
  const by = state.sort ?? chosen().y, sign = state.down ? -1 : 1;
  const missing = (point) => point[by] == null || point[by] === "";
  return [...rows].sort((a, b) => missing(a) - missing(b) || (a[by] < b[by] ? -sign : a[by] > b[by] ? sign : 0));
}

function cellText(point, column) {
  const {name} = column, value = point[name];
  if (column.text) return value || "–";
  return (name === "gain" && value > 0 ? "+" : point.scaled?.[name] ? "≈ " : "") + (column.tenths ? tenths(value) : number(value));
}

// Write the table: its first rows in the order that is asked for. A row is made once for the same columns.
let made = {names: "", rows: new Map()};
function write() {
  const rows = sorted(state.shown), by = state.sort ?? chosen().y, cells = columns(), names = cells.map(({name}) => name).join();
  const count = state.all ? rows.length : Math.min(PAGE, rows.length);
  if (names !== made.names) {
    made = {names, rows: new Map()};
    id("table").tHead.replaceChildren(html("tr", {}, ...cells.map((column) => {
      const button = html("button", {type: "button", className: "plain", textContent: column.title});
      button.addEventListener("click", () => sortBy(column));
      return html("th", {scope: "col", className: column.name}, button);
    })));
  }
  for (const cell of id("table").tHead.rows[0].cells) cell.ariaSort = cell.className === by ? (state.down ? "descending" : "ascending") : null;
  id("table").tBodies[0].replaceChildren(...rows.slice(0, count).map((point) => {
    if (!made.rows.has(point)) made.rows.set(point, tableRow(point, cells));
    return made.rows.get(point);
  }));
  id("rows").textContent = count < rows.length ? `The first ${count} of ${number(rows.length)} rows.` : `${number(count)} ${count === 1 ? "row" : "rows"}.`;
  id("more").hidden = rows.length <= PAGE;
  id("more").textContent = state.all ? "Show fewer rows" : `Show all ${number(rows.length)} rows`;
}

function tableRow(point, cells) {
  const button = html("button", {type: "button", className: "plain", textContent: point.name});
  button.addEventListener("click", () => mark(point));
  return html("tr", {className: point.own ? "own" : ""}, html("th", {scope: "row"}, button), ...cells.slice(1).map((column) => html("td", {
    textContent: cellText(point, column), className: column.name === "gain" && point.gain < 0 ? "loses" : column.name,
  })));
}

function sortBy(column) {
  const again = column.name === (state.sort ?? chosen().y);
  Object.assign(state, {sort: column.name, down: again ? !state.down : !column.text});
  write();
}

function csv() {
  const quoted = (value) => /[",\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value;
  const written = (point, name) => name === "source" ? point.said : name === "scaled" && point.scaled
    ? Object.entries(point.scaled).map(([device, size]) => `${device} from ${size}`).join("; ") : point[name] ?? "";
  const lines = [content.fields, ...sorted(state.shown).map((point) => content.fields.map((name) => written(point, name)))];
  return lines.map((line) => line.map((value) => quoted(String(value))).join(",")).join("\n") + "\n";
}

// Families with a colour: a click on one gives the colour back; one more takes the place of the oldest.
function choose(family) {
  const taken = state.coloured.indexOf(family), free = state.coloured.indexOf(null);
  if (taken >= 0) state.coloured[taken] = null;
  else if (free >= 0) state.coloured[free] = family;
  else state.coloured = [...state.coloured.slice(1), family];
  families();
  paint();
  update();
}

function symbol(d, name) {
  const drawn = svg("svg", {viewBox: "-6 -6 12 12", "aria-hidden": "true"});
  drawn.append(svg("path", {d, class: name}));
  return drawn;
}

function families() {
  const button = (family, label) => {
    const place = state.coloured.indexOf(family), made = html("button", {type: "button", ariaPressed: String(place >= 0)});
    made.append(...(place < 0 ? [] : [symbol(SHAPES[place], `family-${place}`)]), label);
    made.addEventListener("click", () => choose(family));
    return made;
  };
  id("coloured").replaceChildren(...state.coloured.filter(Boolean).map((family) => button(family, family)));
  id("families").replaceChildren(...content.families.map(([family, count]) => button(family, `${family} (${count})`)));
}

function start() {
  for (const name of ["x", "y"]) {
    id(name).replaceChildren(...content.axes.map((each) => new Option(each.title, each.name, false, each.name === content.start[name])));
    id(name).addEventListener("change", () => { Object.assign(state, {sort: null, down: axis(id("y").value).better > 0}); place(); paint(); update(); });
  }
  const counted = new Map();
  for (const {size} of points) counted.set(size, (counted.get(size) ?? 0) + 1);
  id("size").replaceChildren(new Option("any", ""), ...[...counted].sort(([a], [b]) => a - b).map(([size, count]) => new Option(`${size} (${count})`, size)));
  const legend = {paper: "stated by a paper", scaled: "speed scaled from another image size", loses: "less accurate at its largest image size"};
  id("legend").append(...Object.entries(legend).map(([name, words]) => html("li", {}, symbol(SHAPES[0], name), words)));
  if (points.some((point) => point.own)) id("legend").append(html("li", {}, symbol(DIAMOND, "own"), "measured here"));
  id("controls").addEventListener("submit", (event) => event.preventDefault());
  id("search").addEventListener("input", update);
  for (const name of ["size", "source", "data", "licence", "only", "front"]) id(name).addEventListener("change", update);
  id("log").addEventListener("change", () => { place(); update(); });
  id("more").addEventListener("click", () => { state.all = !state.all; write(); });
  id("csv").addEventListener("click", () => {
    const link = html("a", {href: URL.createObjectURL(new Blob([csv()], {type: "text/csv"})), download: "image-models.csv"});
    link.click();
    URL.revokeObjectURL(link.href);
  });
  chart.addEventListener("pointermove", hover);
  chart.addEventListener("pointerleave", hover);
  chart.addEventListener("click", (event) => { const found = nearest(event); if (found) mark(found); });
  chart.addEventListener("keydown", walk);
  families();
  paint();
  new ResizeObserver(() => { if (chart.clientWidth && chart.clientWidth !== width) { place(); update(); } }).observe(chart);
}

start();
