// Golden parts and reject samples: a small chart of each, every showing a dot, what is usual a band, the limit a line.
import { $, ask, clock, element, number } from "./dom.js";
import { on, state } from "./line.js";
import { tr, trn } from "./tr.js";

const SVG = "http://www.w3.org/2000/svg", WIDTH = 460, HEIGHT = 150, LEFT = 54, TOP = 12, BOTTOM = 14;
const ODD = {
  low: tr("lower than it ever was"), high: tr("higher than it ever was"), band: tr("not as line.toml expects"),
  "creep-low": tr("coming down"), "creep-high": tr("coming up"),
};

function shape(name, attributes, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text) made.textContent = text;
  return made;
}

const told = (point) => `${clock(point.at_utc)}: ${number(point.score)} · ${tr("Limit")} ${number(point.limit)}${point.is_right ? "" : ` · ${tr("WRONG")}`}${point.odd ? ` · ${ODD[point.odd] ?? point.odd}` : ""}`;

function drawn(sample) {
  const points = sample.points.filter((point) => point.score !== null), usual = sample.usual;
  const svg = shape("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": tr("Scores of {name}, the newest on the right", { name: sample.name }) });
  const limit = points.at(-1).limit;
  const values = [...points.map((point) => point.score), ...(limit === null ? [] : [limit])];
  // The band of few showings is wide: it may be cut off, a dot may not.
  const least = Math.min(...values), most = Math.max(...values), room = (most - least || Math.abs(most) || 1) * 0.15;
  const bottom = least - room, top = most + room;
  const y = (value) => TOP + (1 - (Math.min(top, Math.max(bottom, value)) - bottom) / (top - bottom)) * (HEIGHT - TOP - BOTTOM);
  const x = (index) => LEFT + ((index + 0.5) / points.length) * (WIDTH - LEFT - 8);
  if (usual) svg.append(shape("rect", { class: "usual", x: LEFT, width: WIDTH - LEFT - 8, y: y(usual.high), height: y(usual.low) - y(usual.high) }));
  for (const [value, kind, words] of [[limit, "limit", tr("Limit")], [usual?.mean ?? null, "middle", number(usual?.mean ?? null, 2)]]) {
    if (value !== null) svg.append(shape("line", { class: kind, x1: LEFT, x2: WIDTH - 8, y1: y(value), y2: y(value) }), shape("text", { x: LEFT - 4, y: y(value) + 4, "text-anchor": "end" }, words));
  }
  for (const [index, point] of points.entries()) {
    const isBad = !point.is_right || point.odd, at = { cx: x(index), cy: y(point.score), r: isBad ? 6 : 4 };
    const dot = shape("circle", { ...at, class: `${isBad ? "wrong" : "right"}${point.is_of_now ? "" : " other"}` });
    dot.append(shape("title", {}, told(point)));
    svg.append(dot);
  }
  return svg;
}

function card(sample) {
  const kind = sample.kind === "reject" ? tr("reject sample") : tr("golden sample");
  const head = element("h2", [sample.name, element("small", `${kind}, ${tr("Program")} ${sample.program}`)]);
  const shows = sample.shows ? [element("p", sample.shows, { class: "about" })] : [];
  const newest = sample.points.at(-1);
  if (!newest) return element("section", [head, ...shows, element("p", tr("Never shown yet."))]);
  const body = sample.points.some((point) => point.score !== null) ? [drawn(sample)] : [];
  const usual = sample.usual
    ? tr("usual {mean}; a next score between {low} and {high}, by its first {n} showings", { mean: number(sample.usual.mean), low: number(sample.usual.low), high: number(sample.usual.high), n: sample.usual.times })
    : trn("Shown {n} time by this bundle: too few to say what is usual.", "Shown {n} times by this bundle: too few to say what is usual.", sample.times);
  const hollow = sample.points.some((point) => !point.is_of_now) ? [element("p", tr("Hollow: by another bundle, not to be compared."), { class: "about" })] : [];
  return element("section", [head, ...shows, element("p", told(newest), { class: sample.wrong ? "changed" : "now" }), ...body, element("p", usual, { class: "about" }), ...hollow], { class: sample.wrong ? "has-changed" : "" });
}

async function search() {
  $("sampleswords").textContent = tr("Searching…");
  try {
    const { samples, missing } = await ask("api/samples");
    $("samplecharts").replaceChildren(...samples.map(card));
    const none = samples.length ? "" : tr("No sample is registered in line.toml: [[challenge.sample]]");
    $("sampleswords").textContent = missing ? tr("Older showings are in {missing}, which is not here.", { missing }) : none;
  } catch (err) { $("sampleswords").textContent = err.message; }
}

export function start() {
  on("state", () => { $("samplesdue").textContent = state.locked || state.samples; });
}

export function show() {
  search();
}
