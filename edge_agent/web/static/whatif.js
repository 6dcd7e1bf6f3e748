// What another limit would have done: on paper, from the journal.
import { $, ask, element, number, pairs } from "./dom.js";
import { parts } from "./line.js";
import { tr } from "./tr.js";

export function start() {
  $("moved").addEventListener("submit", (event) => { event.preventDefault(); moveLimit(); });
}

export function show() {
  const bundles = [...new Map([...parts.values()].filter((part) => part.bundle_id).map((part) => [part.bundle_id, part.limit]))];
  const select = $("moved").elements.bundle;
  select.replaceChildren(...bundles.map(([id, limit]) => element("option", `${id.slice(0, 16)} (${tr("Limit")} ${number(limit)})`, { value: id })));
  if (!$("moved").elements.limit.value && bundles.length) $("moved").elements.limit.value = bundles[0][1];
  if (!$("moved").elements.since.value) {
    const day = new Date(Date.now() - 86400000 - new Date().getTimezoneOffset() * 60000);
    $("moved").elements.since.value = day.toISOString().slice(0, 16);
  }
}

async function moveLimit() {
  const form = $("moved").elements;
  const asked = new URLSearchParams({ bundle: form.bundle.value, limit: form.limit.value, since: new Date(form.since.value).toISOString() });
  try {
    const told = await ask(`api/reviewed?${asked}`);
    pairs($("movedresult"), [
      [tr("decided by the score"), told.decided_by_score], [tr("passed, would be rejected"), told.passes_to_reject],
      [tr("rejected, would pass"), told.rejects_to_pass], [tr("of them rightly rejected: would be missed"), told.of_them_confirmed],
      [tr("of them good: no longer rejected"), told.of_them_overturned], [tr("reviewed since then"), told.reviewed],
      [tr("of them good parts"), told.false_rejects],
    ]);
  } catch (err) { pairs($("movedresult"), [["", err.message]]); }
}
