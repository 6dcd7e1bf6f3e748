// What another limit would have done: on paper, from the journal. Bundle and limit stand in the address.
import { $, ask, clock, element, exact, facts, number } from "./dom.js";
import { drawHistogram } from "./histogram.js";
import { note, pieces } from "./place.js";
import { offerLimit } from "./relimit.js";
import { tr, trn } from "./tr.js";

const ASK_AFTER_MS = 300;
let bundles = [], asked = "", timer = 0;
const form = () => $("moved").elements;

export function start() {
  $("moved").addEventListener("submit", (event) => { event.preventDefault(); move(); });
  form().bundle.addEventListener("change", () => choose(form().bundle.value, null));
  form().since.addEventListener("change", () => move());
  $("slider").addEventListener("input", () => { form().limit.value = Number($("slider").value).toPrecision(5); soon(); });
  form().limit.addEventListener("input", () => { $("slider").value = form().limit.value; soon(); });
}

export async function show() {
  const [bundle, limit, since] = pieces();
  try { bundles = (await ask("api/bundles")).bundles; } catch (err) { said(err.message); return; }
  if (!bundles.length) { said(tr("No part was judged by a bundle yet.")); $("moved").hidden = true; return; }
  $("moved").hidden = false;
  // One that is kept in a bookmark and judged nothing lately is asked about all the same.
  const known = bundle && !bundles.some((one) => one.bundle_id === bundle) ? [{ bundle_id: bundle, limit: null, parts: 0 }, ...bundles] : bundles;
  form().bundle.replaceChildren(...known.map(option));
  form().since.value = since ? localText(since) : "";
  choose(bundle || bundles[0].bundle_id, Number(limit) > 0 ? Number(limit) : null);
}

function option(bundle) {
  const parts = [bundle.bundle_id.slice(0, 16), bundle.limit === null ? "" : `${tr("Limit")} ${number(bundle.limit)}`, bundle.parts ? trn("{n} part", "{n} parts", bundle.parts) : ""];
  return element("option", parts.filter(Boolean).join(" · "), { value: bundle.bundle_id });
}

function choose(id, limit) {
  const own = bundles.find((one) => one.bundle_id === id)?.limit || limit || 1;
  form().bundle.value = id;
  $("slider").max = 2 * own; $("slider").step = own / 500;
  $("slider").value = limit ?? own;
  form().limit.value = limit ?? exact(own);
  move();
}

function localText(utc) {
  const at = new Date(utc);
  return Number.isNaN(at.getTime()) ? "" : new Date(at - at.getTimezoneOffset() * 60000).toISOString().slice(0, 19);
}

function soon() {
  clearTimeout(timer);
  timer = setTimeout(move, ASK_AFTER_MS);
}

function said(words) {
  $("movedwords").textContent = words;
  $("movedresult").replaceChildren();
  $("histogram").replaceChildren();
}

async function move() {
  const { bundle, limit, since } = form();
  if (!(Number(limit.value) > 0)) { said(tr("A limit is a number above 0.")); return; }
  const wanted = new URLSearchParams({ bundle: bundle.value, limit: limit.value });
  if (since.value) wanted.set("since", new Date(since.value).toISOString());
  asked = String(wanted);
  note(`#whatif/${[bundle.value, limit.value, ...(wanted.has("since") ? [wanted.get("since")] : [])].map(encodeURIComponent).join("/")}`);
  offerLimit($("movedresult"), asked);
  try {
    const told = await ask(`api/reviewed?${wanted}`);
    if (asked === String(wanted)) tell(told);
  } catch (err) { if (asked === String(wanted)) said(err.message); }
}

function tell(told) {
  if (!told.decided_by_score) { said(tr("No part of that time was decided by the score of this bundle.")); return; }
  $("movedwords").textContent = trn(
    "Of {n} part that the score of this bundle decided, from {from} to {to}:", "Of {n} parts that the score of this bundle decided, from {from} to {to}:",
    told.decided_by_score, { from: clock(told.from_utc), to: clock(told.to_utc) },
  );
  drawHistogram($("histogram"), told);
  $("movedresult").replaceChildren(...[
    [tr("passed, would be rejected"), told.passes_to_reject, told.newest_to_reject],
    [tr("rejected, would pass"), told.rejects_to_pass, told.newest_to_pass],
    [tr("of them rightly rejected: would be missed"), told.of_them_confirmed, told.confirmed_to_pass, true],
    [tr("of them good: no longer rejected"), told.of_them_overturned, []],
    [tr("known escapes that it would let pass"), told.escapes_to_pass.length, told.escapes_to_pass, true],
    [tr("known escapes that it would reject"), told.escapes_to_reject.length, told.escapes_to_reject],
  ].map(line), facts([[tr("reviewed since then"), told.reviewed], [tr("of them good parts"), told.false_rejects]]));
}

function line([words, n, seqs, isDefect = false]) {
  const links = seqs.flatMap((seq) => [element("a", String(seq), { href: `#part/${seq}` }), " "]);
  const more = seqs.length && seqs.length < n ? [tr("and older ones")] : [];
  const isBad = isDefect && n > 0;
  return element("div", [element("strong", `${isBad ? "⚠ " : ""}${n} `), words, ...(seqs.length ? [element("p", [...links, ...more], { class: "seqs" })] : [])], { class: isBad ? "moved bad" : "moved" });
}
