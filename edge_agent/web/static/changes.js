// Who changed what, when and why: settings, versions, bundles, limits, reviews, bypasses, challenges, the newest first.
import { $, ask, clock, element } from "./dom.js";
import { tr } from "./tr.js";

const COLUMNS = [tr("Time"), tr("What"), tr("Who"), tr("Why"), tr("Changed")];

function row(change) {
  const values = (change.values ?? []).map((value) => element("li", `${value.name}: ${value.was} → ${value.is}`));
  const told = [change.words, ...(values.length ? [element("ul", values)] : [])];
  return element("tr", [clock(change.at_utc), change.title, change.by || "–", change.why || "–", told].map((cell, index) => element("td", cell, { "data-name": COLUMNS[index] })));
}

async function search() {
  const asked = new URLSearchParams();
  for (const [name, value] of new FormData($("changed"))) if (value) asked.set(name, new Date(value).toISOString());
  $("changesfound").textContent = tr("Searching…");
  try {
    const found = await ask(`api/changes?${asked}`);
    $("changerows").replaceChildren(...found.changes.map(row));
    const said = [found.changes.length ? tr("{n} of {of} changes", { n: found.changes.length, of: found.of }) : tr("Nothing was changed.")];
    if (found.missing) said.push(tr("Older ones are in {name}, which is not beside this journal.", { name: found.missing }));
    $("changesfound").textContent = said.join(" ");
  } catch (err) { $("changesfound").textContent = err.message; }
}

export function start() {
  $("changecolumns").replaceChildren(...COLUMNS.map((name) => element("th", name)));
  $("changed").addEventListener("submit", (event) => { event.preventDefault(); search(); });
}

export function show() {
  search();
}
