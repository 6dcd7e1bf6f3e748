// The strip of the newest scores: a bar a part, the limit as a line.
import { $ } from "./dom.js";
import { parts } from "./line.js";

export function drawStrip() {
  const canvas = $("strip");
  const { clientWidth: width, clientHeight: height } = canvas;
  if (!width) return;
  const zoom = devicePixelRatio || 1;
  canvas.width = width * zoom; canvas.height = height * zoom;
  const ink = canvas.getContext("2d"), style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(`--${name}`).trim();
  ink.scale(zoom, zoom);
  const step = 7, most = Math.floor(width / step), newest = [...parts.values()].sort((a, b) => a.part_seq - b.part_seq).slice(-most);
  const y = (ratio) => height - 4 - (height - 8) * Math.min(2, Math.max(0, ratio)) / 2;
  newest.forEach((part, index) => {
    const x = width - (newest.length - index) * step;
    ink.fillStyle = colour({ PASS: "pass", REJECT: "reject" }[part.verdict] || "fault");
    if (part.score === null || !part.limit) { ink.fillRect(x, 2, step - 2, height - 4); return; }
    const top = y(part.score / part.limit);
    ink.fillRect(x, top, step - 2, height - top);
  });
  ink.strokeStyle = colour("ink"); ink.lineWidth = 2; ink.setLineDash([6, 4]);
  ink.beginPath(); ink.moveTo(0, y(1)); ink.lineTo(width, y(1)); ink.stroke();
}
addEventListener("resize", drawStrip);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawStrip);
