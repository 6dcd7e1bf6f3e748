// How many parts had which score: what passed below, what was rejected above it, and both limits as lines.
import { number } from "./dom.js";
import { tr } from "./tr.js";

const SVG = "http://www.w3.org/2000/svg", HEIGHT = 190;

function shape(name, attributes, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text) made.textContent = text;
  return made;
}

export function drawHistogram(svg, told) {
  const width = svg.clientWidth || 600;
  const bars = told.bars, step = told.step, top = told.bars.length * told.step;
  svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
  svg.setAttribute("aria-label", tr("Scores of the parts: the limit in use is {own}, the one tried is {limit}", { own: number(told.own_limit), limit: number(told.limit) }));
  if (!bars.length) { svg.replaceChildren(); return; }
  // Few rejects beside many passes have to be seen: the height is that of the logarithm.
  const high = (n) => Math.log1p(n), most = Math.max(...bars.map(([passed, rejected]) => high(passed + rejected)), 1);
  const x = (score) => Math.min(width, (score / top) * width), y = (n) => (high(n) / most) * (HEIGHT - 36);
  const wide = width / bars.length;
  const drawn = bars.flatMap(([passed, rejected], index) => {
    const whole = y(passed + rejected), below = passed ? (whole * passed) / (passed + rejected) : 0;
    const from = (index * step).toFixed(3), words = `${from} – ${((index + 1) * step).toFixed(3)}: ${passed} PASS, ${rejected} REJECT`;
    return [[below, 0, "passed"], [whole - below, below, "rejected"]].filter(([tall]) => tall > 0).map(([tall, base, kind]) => {
      const bar = shape("rect", { x: index * wide + 0.5, y: HEIGHT - base - tall, width: wide - 1, height: tall, class: kind });
      bar.append(shape("title", {}, words));
      return bar;
    });
  });
  const line = (at, kind, words, row) => [
    shape("line", { x1: x(at), x2: x(at), y1: 0, y2: HEIGHT, class: kind }),
    shape("text", { x: x(at) + (x(at) > width * 0.7 ? -4 : 4), y: row, "text-anchor": x(at) > width * 0.7 ? "end" : "start", class: kind }, words),
  ];
  const hatched = shape("pattern", { id: "hatched", width: 6, height: 6, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" });
  hatched.append(shape("path", { d: "M0 3H6" })); // not by colour alone
  svg.replaceChildren(hatched, ...drawn, ...line(told.own_limit, "own", tr("limit in use"), 14), ...line(told.limit, "tried", tr("limit tried"), 32));
}
