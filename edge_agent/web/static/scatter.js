// Each part as a mark: across the score of the bundle in use, upwards the candidate's, both as shares of their own limits.
import { tr } from "./tr.js";

const SVG = "http://www.w3.org/2000/svg", SIZE = 320, EDGE = 40, HIGHEST = 3;

function shape(name, attributes, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text) made.textContent = text;
  return made;
}

export function drawScatter(svg, scores) {
  const all = scores.flatMap(([active, candidate]) => [active, candidate]), low = Math.max(-1, Math.min(0, ...all)), high = Math.min(HIGHEST, Math.max(1.5, ...all));
  const along = (share) => ((Math.min(high, Math.max(low, share)) - low) / (high - low)) * (SIZE - EDGE - 10);
  const x = (share) => EDGE + along(share), y = (share) => SIZE - EDGE - along(share);
  svg.setAttribute("viewBox", `0 0 ${SIZE} ${SIZE}`);
  svg.setAttribute("aria-label", tr("Scores of {n} parts: the bundle in use across, the candidate upwards; both limits at 1", { n: scores.length }));
  const marks = scores.map(([active, candidate, side]) => {
    const differs = side === "TO_PASS" || side === "TO_REJECT";
    const at = { x: x(active), y: y(candidate) };
    // Not by colour alone: parts over which they differ are triangles.
    return differs
      ? shape("path", { d: `M${at.x - 4} ${at.y + 3.5}h8l-4 -7z`, class: side === "TO_PASS" ? "topass" : "toreject" })
      : shape("circle", { cx: at.x, cy: at.y, r: 2.2, class: "same" });
  });
  svg.replaceChildren(
    shape("rect", { x: EDGE, y: 10, width: SIZE - EDGE - 10, height: SIZE - EDGE - 10, class: "frame" }),
    shape("line", { x1: x(1), x2: x(1), y1: 10, y2: SIZE - EDGE, class: "limit" }), shape("line", { x1: EDGE, x2: SIZE - 10, y1: y(1), y2: y(1), class: "limit" }),
    ...marks,
    shape("text", { x: x(1), y: SIZE - EDGE + 14, "text-anchor": "middle" }, "1"), shape("text", { x: EDGE - 6, y: y(1) + 4, "text-anchor": "end" }, "1"),
    shape("text", { x: (SIZE + EDGE) / 2, y: SIZE - 8, "text-anchor": "middle" }, tr("bundle in use")),
    shape("text", { x: 14, y: (SIZE - EDGE) / 2, "text-anchor": "middle", transform: `rotate(-90 14 ${(SIZE - EDGE) / 2})` }, tr("Candidate")),
  );
}
