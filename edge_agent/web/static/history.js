// Parts of before, filtered: the filter stands in the address, so that it can be kept and the back button works.
import { $, ask, clock, element } from "./dom.js";
import { table } from "./listed.js";
import { isAt, values } from "./place.js";
import { tr, trn } from "./tr.js";
import { REASONS } from "./words.js";

const TIMES = ["since", "until"];
const PLACE = ["before", "after"];
let asked = ""; // what the newest question was: an answer to an older one is not shown

export function start() {
  $("reasons").append(...Object.entries(REASONS).map(([code, words]) => (
    element("label", [element("input", [], { type: "checkbox", name: "reason", value: code }), ` ${words}`])
  )));
  $("filter").addEventListener("submit", (event) => { event.preventDefault(); go(); });
  $("filter").addEventListener("change", sayReasons);
  $("filterbox").open = innerWidth > 760; // on a small screen the parts come first
  $("nofilter").addEventListener("click", () => { location.hash = "#history"; });
}

export function show() {
  const filter = values();
  fill(filter);
  search(filter);
}

function go() {
  const filter = new URLSearchParams();
  for (const [name, value] of new FormData($("filter"))) {
    if (value) filter.append(name, TIMES.includes(name) ? new Date(value).toISOString() : value);
  }
  const address = `#history${filter.size ? `/${filter}` : ""}`;
  if (location.hash === address) show(); else location.hash = address;
}

function fill(filter) {
  $("filter").reset();
  for (const [name, value] of filter) {
    if (name === "reason") {
      const box = [...$("filter").querySelectorAll("[name=reason]")].find((one) => one.value === value);
      if (box) box.checked = true;
    } else if ($("filter").elements[name]) $("filter").elements[name].value = TIMES.includes(name) ? localText(value) : value;
  }
  sayReasons();
}

// As the field takes it: the time of this browser, without its zone.
function localText(utc) {
  const at = new Date(utc);
  return Number.isNaN(at.getTime()) ? "" : new Date(at - at.getTimezoneOffset() * 60000).toISOString().slice(0, 19);
}

function sayReasons() {
  const chosen = [...$("filter").querySelectorAll("[name=reason]:checked")];
  $("reasonsaid").textContent = chosen.length ? trn("{n} reason", "{n} reasons", chosen.length) : tr("any");
}

function without(filter, names) {
  const less = new URLSearchParams(filter);
  names.forEach((name) => less.delete(name));
  return less;
}

async function search(filter) {
  asked = String(filter);
  $("found").textContent = tr("Searching…");
  $("totals").textContent = "";
  $("export").hidden = $("newer").hidden = $("older").hidden = true;
  try {
    const found = await ask(`api/parts?${filter}`);
    if (asked !== String(filter)) return;
    const isFirst = filter.has("after") && found.after === null;
    if (isFirst) { if (isAt("history")) location.replace(`#history/${without(filter, PLACE)}`); return; } // the newest page, and whole
    $("rows").replaceChildren(...(found.parts.length ? [table(found.parts)] : []));
    $("found").textContent = found.parts.length
      ? tr("Parts {last} to {first}", { first: found.parts[0].part_seq, last: found.parts.at(-1).part_seq }) : tr("No such part.");
    turn("newer", "after", found.after, filter);
    turn("older", "before", found.before, filter);
    await count(without(filter, [...PLACE, "most"]));
  } catch (err) {
    if (asked === String(filter)) { $("found").textContent = err.message; $("rows").replaceChildren(); }
  }
}

function turn(id, name, place, filter) {
  $(id).hidden = place === null;
  if (place === null) return;
  const other = without(filter, PLACE);
  other.set(name, place);
  $(id).href = `#history/${other}`;
}

async function count(filter) {
  const before = asked;
  let told;
  try { told = await ask(`api/totals?${filter}`); } catch (err) { if (asked === before) $("totals").textContent = err.message; return; }
  if (asked !== before) return;
  const verdicts = Object.entries(told.verdicts).filter(([, n]) => n).map(([verdict, n]) => `${n} ${verdict}`);
  const reasons = Object.entries(told.reasons).filter(([code, n]) => n && code !== "OK").map(([code, n]) => `${REASONS[code] ?? code}: ${n}`);
  const since = told.from_utc ? tr("Older parts than of {time} were not counted.", { time: clock(told.from_utc) }) : "";
  const most = told.parts > told.exported_at_most ? tr("A download has at most {n} parts: choose a shorter time.", { n: told.exported_at_most }) : "";
  $("totals").textContent = [`${trn("{n} part", "{n} parts", told.parts)}${verdicts.length ? `: ${verdicts.join(", ")}` : ""}.`, reasons.join(" · "), since, most].filter(Boolean).join(" ");
  $("export").hidden = !told.parts || most !== "";
  $("export").href = `api/parts.csv?${filter}`;
}
