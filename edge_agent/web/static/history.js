// Parts of before: by time, verdict, program and score, the newest first.
import { $, ask, clock, element, number, reason } from "./dom.js";
import { SAID } from "./review.js";
import { tr } from "./tr.js";

const COLUMNS = [
  tr("Part"), tr("Count"), tr("Time"), tr("Verdict"), tr("Reason"), tr("Score"), tr("Limit"), tr("Program"), tr("Time to verdict"), tr("Review"),
];
let before = null;

function row(part) {
  const link = element("a", String(part.part_seq), { href: `#part/${part.part_seq}` });
  return element("tr", [
    link, String(part.count ?? "–"), clock(part.decided_utc), element("b", part.verdict, { class: part.verdict }), reason(part),
    number(part.score), number(part.limit), String(part.program ?? "–"), `${Math.round(part.latency_ms)} ms`,
    part.review ? `${SAID[part.review.says] ?? part.review.says} (${part.review.by})` : "",
  ].map((cell) => element("td", cell)));
}

async function search(isMore) {
  const asked = new URLSearchParams({ most: "100" });
  for (const [name, value] of new FormData($("filter"))) {
    if (value) asked.set(name, ["since", "until"].includes(name) ? new Date(value).toISOString() : value);
  }
  if (isMore && before) asked.set("before", before);
  $("found").textContent = tr("Searching…");
  try {
    const found = await ask(`api/parts?${asked}`);
    const rows = found.parts.map(row);
    if (isMore) $("rows").append(...rows); else $("rows").replaceChildren(...rows);
    before = found.before;
    $("older").hidden = !before;
    $("found").textContent = $("rows").children.length ? `${$("rows").children.length} ${tr("parts")}` : tr("No such part.");
  } catch (err) { $("found").textContent = err.message; }
}

export function start() {
  $("columns").replaceChildren(...COLUMNS.map((name) => element("th", name)));
  $("filter").addEventListener("submit", (event) => { event.preventDefault(); search(false); });
  $("older").addEventListener("click", () => search(true));
}

export function show() {
  if (!$("rows").children.length) search(false);
}
