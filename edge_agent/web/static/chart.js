// The strip of the newest scores: a bar a part, the limit as a line. Each bar leads to its part, by mouse and by keyboard.
import { $, element } from "./dom.js";
import { verdictOf } from "./judged.js";
import { parts } from "./line.js";
import { tr } from "./tr.js";

const bars = new Map(); // part_seq -> { part, item }
const isCoarse = matchMedia("(pointer: coarse)");

export function drawStrip() {
  const list = $("strip"), width = list.clientWidth, step = isCoarse.matches ? 16 : 9;
  if (!width) return;
  list.style.setProperty("--step", `${step}px`);
  const newest = [...parts.values()].sort((a, b) => a.part_seq - b.part_seq).slice(-Math.floor(width / step));
  const kept = new Set(newest.map((part) => part.part_seq));
  for (const [seq, { item }] of bars) if (!kept.has(seq)) { item.remove(); bars.delete(seq); }
  let at = list.firstElementChild;
  for (const part of newest) {
    const item = bar(part); // what stands already stays where it is: it may have the focus
    if (item === at) at = at.nextElementSibling; else list.insertBefore(item, at);
  }
  if (!list.contains(document.activeElement)) stop(list.lastElementChild?.firstElementChild);
}

function bar(part) {
  const made = bars.get(part.part_seq);
  if (made?.part === part) return made.item;
  const ratio = part.score !== null && part.limit ? part.score / part.limit : null;
  const told = ratio === null
    ? tr("Part {number}: {verdict}, without a score", { number: part.part_seq, verdict: verdictOf(part) })
    : tr("Part {number}: {verdict}, {ratio} times the limit", { number: part.part_seq, verdict: verdictOf(part), ratio: ratio.toFixed(2) });
  const link = element("a", element("i"), { href: `#part/${part.part_seq}`, class: `${verdictOf(part)}${ratio === null ? " unscored" : ""}`, title: told, "aria-label": told, tabindex: "-1" });
  link.firstElementChild.style.height = `${ratio === null ? 100 : 50 * Math.min(2, Math.max(0, ratio))}%`;
  const item = made?.item ?? element("li");
  item.replaceChildren(link);
  bars.set(part.part_seq, { part, item });
  return item;
}

// One stop of the tab key for the whole strip; within it the arrows go from part to part.
function stop(link) {
  for (const other of $("strip").querySelectorAll("a[tabindex='0']")) other.tabIndex = -1;
  if (link) link.tabIndex = 0;
}

function go(event) {
  const item = event.target.closest("li"), list = $("strip");
  const next = {
    ArrowLeft: item?.previousElementSibling, ArrowRight: item?.nextElementSibling, Home: list.firstElementChild, End: list.lastElementChild,
  }[event.key]?.firstElementChild;
  if (!next) return;
  event.preventDefault();
  stop(next);
  next.focus();
}

export function startStrip() {
  $("strip").addEventListener("keydown", go);
  addEventListener("resize", drawStrip);
}
