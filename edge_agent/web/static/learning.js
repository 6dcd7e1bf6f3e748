// What a new bundle learned from confirmed parts when it was last tried: what is worse first, each figure before and after.
import { $, ask, clock, element, facts } from "./dom.js";
import { tr } from "./tr.js";

export async function show() {
  $("learningwords").textContent = tr("Searching…");
  $("learningresult").replaceChildren();
  try { tell(await ask("api/learning")); } catch (err) { $("learningwords").textContent = err.message; }
}

function tell({ begun, learning }) {
  const none = learning ? "" : tr("No bundle learned from this line yet: edge-agent learn propose");
  $("learningwords").textContent = begun ? tr("A learning goes on since {time}, begun by {by}.", { time: clock(begun.at_utc), by: begun.by }) : none;
  if (!learning) return;
  const figures = learning.figures.length ? [table(learning.figures)] : learning.worse.length ? [element("ul", learning.worse.map((name) => element("li", name)))] : [];
  $("learningresult").replaceChildren(...outcome(learning), element("div", [
    element("div", figures.length ? [section(learning.figures.length ? tr("Before and after") : tr("Worse than today:"), figures)] : []),
    element("div", [section(tr("About it"), about(learning)), ...archive(learning)]),
  ], { class: "beside" }));
}

const section = (title, content) => element("section", [element("h2", title), ...content]);

function outcome(found) {
  const mark = found.is_bad ? "⚠ " : "", lost = found.lost.map((words) => element("p", [element("strong", `⚠ ${words}`)], { class: "moved bad" }));
  return [element("p", [element("strong", `${mark}${found.result}`)], { class: found.is_bad ? "moved bad" : "moved" }), ...lost, element("p", found.to_do)];
}

function table(figures) {
  const head = element("tr", ["", tr("bundle in use"), tr("new bundle")].map((words) => element(words ? "th" : "td", words, words ? { scope: "col" } : {})));
  const rows = figures.map((one) => element("tr", [
    element("th", [one.name, ...(one.worse ? [" · ", element("strong", tr("worse"))] : [])], { scope: "row" }), element("td", one.before, { "data-of": tr("bundle in use") }), element("td", one.after, { "data-of": tr("new bundle") }),
  ], { class: one.worse ? "worse" : "" }));
  return element("table", [element("thead", head), element("tbody", rows)], { class: "figures" });
}

function about(found) {
  const people = Object.entries(found.people).map(([by, number]) => [tr("called good by {by}", { by }), number]);
  const own = found.own_good && tr("Of the {of} added parts {passing} pass by the score of an inspection that had not learned them.", { of: found.own_good[1], passing: found.own_good[0] });
  return [facts([
    [tr("bundle in use"), found.parent.slice(0, 12)], [tr("new bundle"), found.bundle_id.slice(0, 12)],
    [tr("Program"), found.program], [tr("Camera"), found.camera], [tr("ended"), `${clock(found.at_utc)}, ${found.by}`], [tr("Why"), found.why],
    [tr("Good parts that were added"), found.added], [tr("Known defects"), found.defects], ...people,
  ]), ...(own ? [element("p", own, { class: "own" })] : [])];
}

function archive(found) {
  if (!found.sides) return [];
  const rows = [["to_reject", tr("passes today, the new bundle rejects")], ["to_pass", tr("rejected today, the new bundle passes")], ["both_pass", tr("both pass")], ["both_reject", tr("both reject")]];
  const lines = rows.map(([key, words]) => element("div", [element("strong", `${found.sides[key]} `), words], { class: "moved" }));
  return [section(tr("The archive of the last {hours} hours", { hours: found.hours }), lines)];
}
