// A module, since names of Vega's script are global.
const content = JSON.parse(document.getElementById("content").textContent);
const SHAPES = ["circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-right"];
const PAGE = 50;  // rows of the table at first
const NOT_COMPARED = 1e-9;
const id = (name) => document.getElementById(name);
const axis = (name) => content.axes.find((each) => each.name === name);

// One object a point; what a search looks through is made once.
const points = [...content.rows, ...content.own].map((row, index) => {
  const point = Object.fromEntries(content.fields.map((name, column) => [name, row[column]]));
  point.index = index;
  point.own = index >= content.rows.length;
  point.text = `${point.name} ${point.family} ${point.size} ${point.licence}`.toLowerCase();
  return point;
});

// What a network gains from its smallest image size to its largest, in points of top-1.
const sizes = Map.groupBy(points.filter((point) => !point.own), (point) => point.name);
for (const group of sizes.values()) {
  if (group.length < 2) continue;
  group.sort((a, b) => a.size - b.size);
  const gain = group.at(-1).top1 - group[0].top1;
  for (const point of group) Object.assign(point, {gain, sizes: `${group[0].size} to ${group.at(-1).size}`});
}

const state = {coloured: [...content.highlighted], sort: null, down: true, all: false, marked: null};
let view = null, printing = false;
const dark = matchMedia("(prefers-color-scheme: dark)");
const isDark = () => dark.matches && !printing;
const ink = () => isDark() ? {ink: "#e8eaed", faint: "#9aa3ad", rule: "#333a43", other: "#4c5560", own: "#f0a35e"}
                           : {ink: "#1b1f24", faint: "#5b636d", rule: "#e1e4e8", other: "#b4bcc6", own: "#b3500b"};

function number(value, digits) {
  if (value === null || value === undefined) return "–";
  return value.toLocaleString("en", {maximumFractionDigits: digits ?? (value < 10 ? 2 : value < 1000 ? 1 : 0)});
}

function chosen() {
  return {x: id("x").value, y: id("y").value};
}

function shown() {
  const {x, y} = chosen();
  const terms = id("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  const size = id("size").value, data = id("data").value, permissive = id("licence").value === "permissive";
  const coloured = new Set(state.coloured), only = id("only").checked;
  return points.filter((point) => point[x] != null && point[y] != null
    && (point.own || ((!size || String(point.size) === size) && (!data || String(point.extra) === data)
      && (!permissive || content.permissive.includes(point.licence)) && (!only || coloured.has(point.family))))
    && terms.every((term) => point.text.includes(term)));
}

// The points that no other one beats in both quantities, along the horizontal axis.
function front(rows) {
  const {x, y} = chosen();
  const [along, up] = [axis(x).better, axis(y).better];
  const best = [];
  for (const point of [...rows].sort((a, b) => along * (b[x] - a[x]) || up * (b[y] - a[y]))) {
    if (!best.length || up * (point[y] - best.at(-1)[y]) > NOT_COMPARED) best.push(point);
  }
  return best;
}

function drawn(rows) {
  const {x, y} = chosen();
  return rows.map((point) => {
    const place = state.coloured.indexOf(point.family), coloured = place >= 0;
    return {
      index: point.index, x: point[x], y: point[y],
      fill: point.own ? ink().own : coloured ? content.colours[place] : ink().other,
      shape: point.own ? "diamond" : coloured ? SHAPES[place] : "circle",
      area: point.own ? 160 : coloured ? 46 : 26,
      order: point.own ? 2 : coloured ? 1 : 0,
      label: point.own ? point.name : "",
      marked: state.marked === point.index,
    };
  }).sort((a, b) => a.order - b.order);
}

function specification() {
  const colours = ink();
  const scale = (name, range) => {
    const about = axis(chosen()[name]), log = about.log && id("log").checked;
    const values = points.map((point) => point[about.name]).filter((value) => value != null && value > 0);
    let [low, high] = [Math.min(...values), Math.max(...values)];
    const margin = log ? (high / low) ** 0.03 : 0.04 * (high - low);
    [low, high] = log ? [low / margin, high * margin] : [low - margin, high + margin];
    return {name, type: log ? "log" : "linear", domain: [about.log ? Math.max(low, 0) : low, high], range, zero: false, nice: false};
  };
  const line = (orient, name) => ({
    orient, scale: name, title: axis(chosen()[name]).title, grid: true, gridColor: colours.rule, domainColor: colours.rule,
    tickColor: colours.rule, labelColor: colours.faint, titleColor: colours.faint, titleFontWeight: "normal", titleFontSize: 12,
    labelFontSize: 11, titlePadding: 8, labelOverlap: true, format: ",~r", tickCount: 8,
  });
  return {
    $schema: "https://vega.github.io/schema/vega/v6.json",
    width: Math.max(id("chart").clientWidth, 280), height: 480, padding: 5, autosize: {type: "fit", contains: "padding"},
    data: [{name: "points", values: []}, {name: "front", values: []}],
    scales: [scale("x", "width"), scale("y", "height")],
    axes: [line("bottom", "x"), line("left", "y")],
    marks: [
      {type: "line", interactive: false, from: {data: "front"}, encode: {update: {
        x: {scale: "x", field: "x"}, y: {scale: "y", field: "y"}, stroke: {value: colours.faint}, strokeWidth: {value: 1},
        strokeDash: {value: [3, 3]}, interpolate: {value: "step-after"}}}},
      {type: "symbol", from: {data: "points"}, encode: {update: {
        x: {scale: "x", field: "x"}, y: {scale: "y", field: "y"}, fill: {field: "fill"}, shape: {field: "shape"}, size: {field: "area"},
        stroke: {signal: `datum.marked || datum.order === 2 ? '${colours.ink}' : null`}, strokeWidth: {signal: "datum.marked ? 2.5 : 1"},
        fillOpacity: {signal: "datum.order ? 0.9 : 0.6"}, tooltip: {field: "index"}, cursor: {value: "pointer"}}}},
      {type: "text", interactive: false, from: {data: "points"}, encode: {update: {
        x: {scale: "x", field: "x", offset: 9}, y: {scale: "y", field: "y", offset: -6}, text: {field: "label"}, fill: {value: colours.ink},
        fontSize: {value: 11}}}},
    ],
  };
}

function about(point) {
  const accuracies = content.axes.filter((each) => each.better > 0 && !each.log && point[each.name] != null)
    .map((each) => `${each.title.replace(/, per cent$/, "")} ${number(point[each.name], 1)}`);
  const speeds = content.axes.filter((each) => each.log && each.better > 0 && point[each.name] != null)
    .map((each) => `${number(point[each.name])} ${each.title}`);
  const lines = [
    `${point.name}, ${point.size} pixels`,
    point.own ? "measured here" : `${point.family}; licence of the weights: ${point.licence || "not stated"}; ${point.extra ? "more images than ImageNet-1K" : "ImageNet-1K alone"}`,
    `${number(point.params_m)} M parameters${point.gmacs == null ? "" : `, ${number(point.gmacs)} G multiply-accumulates`}`,
    accuracies.join(", "), ...speeds,
  ];
  if (point.gain != null) lines.push(`${point.gain < 0 ? "loses" : "gains"} ${number(Math.abs(point.gain), 1)} points from ${point.sizes} pixels`);
  return lines.filter(Boolean);
}

const box = id("tooltip");
function tooltip(handler, event, item, value) {
  box.hidden = value == null || value === "";
  if (box.hidden) return;
  box.replaceChildren(...about(points[value]).map((line) => Object.assign(document.createElement("div"), {textContent: line})));
  const x = Math.min(event.clientX + 12, document.documentElement.clientWidth - box.offsetWidth - 8);
  const below = event.clientY + 16, y = below + box.offsetHeight < innerHeight ? below : event.clientY - box.offsetHeight - 12;
  box.style.left = `${Math.max(x, 8)}px`;
  box.style.top = `${Math.max(y, 8)}px`;
}

// Draw the chart anew, for other axes or colours; `update` alone suffices for other points.
let drawing = Promise.resolve();
function redraw() {
  drawing = drawing.then(async () => {
    view?.finalize();
    const options = {mode: "vega", ast: true, renderer: "canvas", actions: false, defaultStyle: false, tooltip, config: {font: "system-ui, sans-serif"}};
    ({view} = await vegaEmbed(id("chart"), specification(), options));
    view.addEventListener("click", (event, item) => { if (item?.datum?.index !== undefined) mark(item.datum.index); });
  });
  update();
}

function update() {
  const rows = shown(), best = id("front").checked ? front(rows) : [];
  const {x, y} = chosen();
  drawing = drawing.then(() => view.data("points", drawn(rows)).data("front", best.map((point) => ({x: point[x], y: point[y]}))).runAsync());
  const names = best.slice(0, 12).map((point) => `${point.name} (${point.size})`);
  id("shown").textContent = `${number(rows.length)} of ${number(points.length)} points.` + (names.length
    ? ` Dashed: best for their cost, ${best.length} points: ${names.join(", ")}${best.length > names.length ? ", …" : "."}` : "");
  write(rows);
  return drawing;
}

function mark(index) {
  state.marked = index;
  id("about").textContent = about(points[index]).join(" · ");
  update();
}

function columns() {
  const {x, y} = chosen(), speed = axis(x).log && axis(x).better > 0 ? x : axis(y).log && axis(y).better > 0 ? y : null;
  const short = {top1: "ImageNet", real: "ReaL", v2: "V2", a: "A", r: "R", sketch: "Sketch"};
  return [
    {name: "name", title: "Network"}, {name: "family", title: "Family"}, {name: "size", title: "Pixels"},
    ...Object.entries(short).map(([name, title]) => ({name, title, digits: 1})), {name: "gain", title: "At its larger size", digits: 1},
    {name: "params_m", title: "Parameters, M"}, {name: "gmacs", title: "MACs, G"}, ...(speed ? [{name: speed, title: "Images/s"}] : []),
    {name: "licence", title: "Licence"},
  ];
}

function sorted(rows) {
  const by = state.sort ?? chosen().y, sign = state.down ? -1 : 1;
  const missing = (point) => point[by] == null || point[by] === "";
  const compare = (a, b) => typeof a === "string" ? a.localeCompare(b) : a - b;
  return [...rows].sort((a, b) => missing(a) - missing(b) || (missing(a) ? 0 : sign * compare(a[by], b[by])));
}

function write(rows) {
  const found = sorted(rows), by = state.sort ?? chosen().y, cells = columns();
  const head = document.createElement("tr");
  for (const column of cells) {
    const cell = Object.assign(document.createElement("th"), {scope: "col"});
    const button = Object.assign(document.createElement("button"), {type: "button", className: "plain", textContent: column.title});
    if (column.name === by) cell.ariaSort = state.down ? "descending" : "ascending";
    button.addEventListener("click", () => {
      state.down = column.name === by ? !state.down : !["name", "family", "licence"].includes(column.name);
      state.sort = column.name;
      write(rows);
      [...id("table").tHead.querySelectorAll("button")].find((each) => each.textContent === column.title).focus();
    });
    cell.append(button);
    head.append(cell);
  }
  id("table").tHead.replaceChildren(head);
  const most = state.all ? found.length : PAGE;
  id("table").tBodies[0].replaceChildren(...found.slice(0, most).map((point) => {
    const row = document.createElement("tr");
    if (point.own) row.className = "own";
    for (const column of cells) {
      const cell = document.createElement(column.name === "name" ? "th" : "td"), value = point[column.name];
      if (column.name === "name") {
        cell.scope = "row";
        const button = Object.assign(document.createElement("button"), {type: "button", className: "plain", textContent: value});
        button.addEventListener("click", () => mark(point.index));
        cell.append(button);
      } else {
        cell.textContent = typeof value === "string" ? value || "not stated" : column.name === "gain" && value != null && value > 0
          ? `+${number(value, 1)}` : number(value, column.digits);
        if (column.name === "gain" && value < 0) cell.className = "loses";
      }
      row.append(cell);
    }
    return row;
  }));
  id("more").hidden = found.length <= PAGE;
  id("more").textContent = state.all ? "Show fewer rows" : `Show all ${number(found.length)} rows`;
}

function csv() {
  const quoted = (value) => /[",\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value;
  const lines = [content.fields, ...sorted(shown()).map((point) => content.fields.map((name) => point[name] ?? ""))];
  return lines.map((line) => line.map((value) => quoted(String(value))).join(",")).join("\n") + "\n";
}

// Families with a colour: a click on one gives the colour back; one more takes the place of the oldest.
function choose(family) {
  const place = state.coloured.indexOf(family);
  if (place >= 0) state.coloured[place] = null;
  else {
    const free = state.coloured.indexOf(null);
    if (free >= 0) state.coloured[free] = family;
    else { state.coloured.shift(); state.coloured.push(family); }
  }
  families();
  update();
}

const PATHS = {
  circle: "M0-5a5 5 0 1 0 .01 0z", square: "M-4.5-4.5h9v9h-9z", "triangle-up": "M0-5 5 4-5 4z", diamond: "M0-6 4 0 0 6-4 0z",
  cross: "M-1.7-5h3.4v3.3H5v3.4H1.7V5h-3.4V1.7H-5v-3.4h3.3z", "triangle-down": "M0 5-5-4 5-4z", "triangle-right": "M5 0-4 5-4-5z",
};
function families() {
  const button = (family, label) => {
    const place = state.coloured.indexOf(family);
    const made = Object.assign(document.createElement("button"), {type: "button", ariaPressed: String(place >= 0)});
    if (place >= 0) {
      const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg"), path = document.createElementNS(svg.namespaceURI, "path");
      svg.setAttribute("viewBox", "-6 -6 12 12");
      svg.setAttribute("aria-hidden", "true");
      path.setAttribute("d", PATHS[SHAPES[place]]);
      path.setAttribute("fill", content.colours[place]);
      svg.append(path);
      made.append(svg);
    }
    made.append(label);
    made.addEventListener("click", () => choose(family));
    return made;
  };
  id("coloured").replaceChildren(...state.coloured.filter(Boolean).map((family) => button(family, family)));
  id("families").replaceChildren(...content.families.map(([family, count]) => button(family, `${family} (${count})`)));
}

for (const name of ["x", "y"]) {
  id(name).replaceChildren(...content.axes.map((each) => new Option(each.title, each.name, false, each.name === content.start[name])));
  id(name).addEventListener("change", () => { state.sort = null; state.down = axis(id("y").value).better > 0; redraw(); });
}
const counted = Map.groupBy(points, (point) => point.size);
id("size").replaceChildren(new Option("any", ""), ...[...counted.keys()].sort((a, b) => a - b)
  .map((size) => new Option(`${size} (${counted.get(size).length})`, size)));
id("controls").addEventListener("submit", (event) => event.preventDefault());
id("search").addEventListener("input", update);
for (const name of ["size", "data", "licence", "only", "front"]) id(name).addEventListener("change", update);
id("log").addEventListener("change", redraw);
id("more").addEventListener("click", () => { state.all = !state.all; write(shown()); });
id("csv").addEventListener("click", () => {
  const link = Object.assign(document.createElement("a"), {href: URL.createObjectURL(new Blob([csv()], {type: "text/csv"})), download: "image-models.csv"});
  link.click();
  URL.revokeObjectURL(link.href);
});
dark.addEventListener("change", redraw);
addEventListener("beforeprint", () => { printing = true; redraw(); });
addEventListener("afterprint", () => { printing = false; redraw(); });
let width = 0;
new ResizeObserver(() => {
  if (id("chart").clientWidth !== width) { width = id("chart").clientWidth; redraw(); }
}).observe(id("chart"));
families();
window.explorer = {settled: () => drawing.then(() => view), update};  // for tests and the curious
