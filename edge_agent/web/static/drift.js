// The control charts: what parts measured, the moving mean, its limits, and since when it is another one.
import { $, ask, clock, element, timeOfDay } from "./dom.js";
import { tr } from "./tr.js";

const SVG = "http://www.w3.org/2000/svg", WIDTH = 460, HEIGHT = 170, LEFT = 54, TOP = 12, BOTTOM = 24;
const UNITS = {
  percent: tr("% of the limit"), grey: tr("grey values"), ratio: tr("ratio"), room: tr("% of the room"), px: "px", degrees: tr("degrees"), factor: tr("times the reference"), correlation: tr("correlation"), ms: "ms",
};

function shape(name, attributes, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text) made.textContent = text;
  return made;
}

const fixed = (value, digits) => (Number(value.toFixed(digits)) + 0).toFixed(digits); // no -0

function drawn(chart) {
  const words = tr("{title} of camera {camera}: now {now}, usual is {usual}", { title: chart.title, camera: chart.camera, now: chart.now, usual: chart.usual });
  const svg = shape("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": words });
  const { bins, low, high } = chart, at = bins.map(([utc]) => Date.parse(utc));
  const values = bins.flatMap(([, least, most]) => [least, most]), room = high - low;
  // A part far outside must not press the rest flat.
  const bottom = Math.max(Math.min(low, ...values), low - room), top = Math.min(Math.max(high, ...values), high + room);
  const y = (value) => TOP + (1 - (Math.min(top, Math.max(bottom, value)) - bottom) / (top - bottom || 1)) * (HEIGHT - TOP - BOTTOM);
  // One part after the other: a night without parts takes no place.
  const x = (index) => LEFT + ((index + 0.5) / bins.length) * (WIDTH - LEFT - 8);
  svg.append(
    shape("rect", { class: "usual", x: LEFT, width: WIDTH - LEFT - 8, y: y(high), height: y(low) - y(high) }),
    ...[[low, "limit"], [high, "limit"], [chart.usual, "middle"]].flatMap(([value, kind]) => [
      shape("line", { class: kind, x1: LEFT, x2: WIDTH - 8, y1: y(value), y2: y(value) }),
      shape("text", { x: LEFT - 4, y: y(value) + 4, "text-anchor": "end" }, fixed(value, chart.digits)),
    ]),
    ...bins.map(([utc, least, most, mean, outside], index) => {
      const line = shape("line", { class: outside ? "parts outside" : "parts", x1: x(index), x2: x(index), y1: y(most) - 1, y2: y(least) + 1 });
      line.append(shape("title", {}, `${clock(utc)}: ${least} – ${most}; ${mean}`));
      return line;
    }),
    shape("polyline", { class: "mean", points: bins.map(([, , , mean], index) => `${x(index)},${y(mean)}`).join(" ") }),
  );
  // The last of those that are not later: each has the time of its first part. Before all of them: the first one.
  const since = chart.change && Date.parse(chart.change.since_utc), began = chart.change ? Math.max(0, at.findLastIndex((time) => time <= since)) : -1;
  if (began >= 0) svg.append(shape("line", { class: "change", x1: x(began), x2: x(began), y1: TOP, y2: HEIGHT - BOTTOM }), shape("path", { class: "change", d: `M${x(began) - 5} ${TOP - 8}h10l-5 8z` }));
  if (bins.length > 1) {
    const isLong = at[at.length - 1] - at[0] > 20 * 3600_000;
    const told = (index) => (isLong ? new Date(at[index]).toLocaleDateString(undefined, { month: "numeric", day: "numeric" }) + " " : "") + timeOfDay(at[index], { hour: "2-digit", minute: "2-digit" });
    svg.append(...[[0, "start"], [bins.length >> 1, "middle"], [bins.length - 1, "end"]].map(([index, anchor]) => shape("text", { x: x(index), y: HEIGHT - 6, "text-anchor": anchor }, told(index))));
  }
  return svg;
}

function card(chart) {
  const unit = UNITS[chart.unit] ?? chart.unit, head = element("h2", [chart.title, element("small", tr("camera {camera}", { camera: chart.camera }))]);
  if (chart.usual === null) return element("section", [head, element("p", tr("What is usual is learned yet: {learned} of {from} parts.", { learned: chart.learned, from: chart.learned_from }))]);
  const now = tr("now {now}, usual {usual} {unit}; {sigma} of {limit} σ", {
    now: fixed(chart.now, chart.digits), usual: fixed(chart.usual, chart.digits), unit, sigma: Math.abs(chart.sigma).toFixed(1), limit: chart.limit_sigma.toFixed(1),
  });
  const source = chart.learned_since_utc
    ? tr("usual: the first {n} parts on this line, from {since}", { n: chart.usual_parts, since: clock(chart.learned_since_utc) })
    : tr("usual: the {n} good parts of the calibration", { n: chart.usual_parts });
  const told = chart.change ? [element("p", (chart.change.is_sudden ? tr("Changed all at once since {since}", { since: clock(chart.change.since_utc) }) : tr("Changing slowly since {since}", { since: clock(chart.change.since_utc) })), { class: "changed" })] : [];
  const body = chart.bins.length ? drawn(chart) : element("p", tr("No good part in this time."));
  return element("section", [head, ...told, element("p", now, { class: "now" }), body, element("p", chart.about, { class: "about" }), element("p", source, { class: "about" })], { class: chart.change ? "has-changed" : "" });
}

async function search() {
  $("driftwords").replaceChildren(element("p", tr("Searching…")));
  try {
    const found = await ask(`api/drift?${new URLSearchParams(new FormData($("drifted")))}`);
    const charts = [...found.charts].sort((a, b) => Boolean(b.change) - Boolean(a.change) || Math.abs(b.sigma) / (b.limit_sigma || 1) - Math.abs(a.sigma) / (a.limit_sigma || 1));
    const changed = charts.filter((chart) => chart.change);
    const words = changed.length ? element("ul", changed.map((chart) => element("li", chart.change.words))) : element("p", charts.length ? tr("Nothing has changed.") : tr("No part was judged yet."));
    $("driftwords").replaceChildren(words, ...(found.parts > found.charted_most ? [element("p", tr("Drawn are the newest {n} parts of this time.", { n: found.charted_most }))] : []));
    $("driftcharts").replaceChildren(...charts.map(card));
  } catch (err) { $("driftwords").replaceChildren(element("p", err.message)); }
}

export function start() {
  $("drifted").addEventListener("submit", (event) => { event.preventDefault(); search(); });
  $("drifted").addEventListener("change", search);
}

export function show() {
  search();
}
