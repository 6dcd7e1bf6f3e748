// A candidate bundle beside the line: how often the two agree, which parts they do not, and who was right.
import { $, ask, clock, element, facts, number } from "./dom.js";
import { thumbnail } from "./listed.js";
import { drawScatter } from "./scatter.js";
import { tr, trn } from "./tr.js";
import { REASONS } from "./words.js";

const SIDES = [
  ["both_pass", tr("both pass")], ["both_reject", tr("both reject")],
  ["to_reject", tr("passes today, the candidate rejects")], ["to_pass", tr("rejected today, the candidate passes")],
];
const NOT_COMPARABLE = [
  ["skipped", tr("left out: the candidate is slower than the line")], ["no_image", tr("no image in the archive")],
  ["failed", tr("the candidate failed")], ["not_judged", tr("not judged by the bundle in use")],
];
const percent = (share) => `${(100 * share).toFixed(2)} %`;

export async function show() {
  $("shadowwords").textContent = tr("Searching…");
  $("shadowresult").replaceChildren();
  try { tell((await ask("api/shadow")).shadow); } catch (err) { $("shadowwords").textContent = err.message; }
}

function tell(found) {
  if (!found) { $("shadowwords").textContent = tr("No candidate was watched on this line yet: edge-agent shadow begin FOLDER"); return; }
  $("shadowwords").textContent = trn("{n} part compared, both say the same of {agreed}", "{n} parts compared, both say the same of {agreed}", found.parts, { agreed: found.agreed });
  const drawing = found.scores.length ? [element("section", [element("h2", tr("Scores, as shares of the limits")), picture()])] : [];
  $("shadowresult").replaceChildren(...warnings(found), element("div", [
    element("div", [section(tr("Agreement"), counts(found)), section(tr("Parts that people know"), known(found))]),
    element("div", [...drawing, section(tr("About it"), about(found))]),
  ], { class: "beside" }), ...flips(found));
  if (drawing.length) drawScatter($("scatter"), found.scores);
}

const section = (title, content) => element("section", [element("h2", title), ...content]);

function picture() {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.id = "scatter";
  svg.setAttribute("role", "img");
  return svg;
}

function warnings(found) {
  const said = [];
  if (found.bad.wrong) said.push(trn("{n} known defect would pass by the candidate.", "{n} known defects would pass by the candidate.", found.bad.wrong));
  if (found.problem) said.push(tr("The candidate does not judge: {why}", { why: found.problem }));
  return said.map((words) => element("p", [element("strong", `⚠ ${words}`)], { class: "moved bad" }));
}

function counts(found) {
  const rows = SIDES.map(([key, words]) => element("div", [element("strong", `${found[key]} `), words], { class: "moved" }));
  const passing = found.both_pass + found.to_reject;
  const share = passing ? [element("p", tr("Of what passes today the candidate rejects {share}.", { share: percent(found.to_reject / passing) }))] : [];
  const missing = NOT_COMPARABLE.filter(([key]) => found.not_comparable[key]);
  const left = found.left_behind ? [[tr("of a journal before this one"), found.left_behind]] : [];
  const list = [...missing.map(([key, words]) => [words, found.not_comparable[key]]), ...left];
  return [...rows, ...share, ...(list.length ? [element("h2", tr("Not comparable")), facts(list)] : [])];
}

function known(found) {
  return [
    knownLine(found.good, tr("good parts: the candidate rejects {wrong} of {of} ({before} today)"), false),
    knownLine(found.bad, tr("defective parts: the candidate passes {wrong} of {of} ({before} today)"), true),
  ];
}

function knownLine(known, words, isDefect) {
  if (!known.of) return element("p", isDefect ? tr("No defective part that people know was compared.") : tr("No good part that people know was compared."), { class: "moved" });
  const isBad = isDefect && known.wrong > 0, [low, high] = known.bounds_95;
  const links = known.newest_wrong.flatMap((seq) => [element("a", String(seq), { href: `#part/${seq}` }), " "]);
  return element("div", [
    element("strong", `${isBad ? "⚠ " : ""}${percent(known.wrong / known.of)} `),
    filled(words, known), element("p", tr("95 % bounds: {low} to {high}", { low: percent(low), high: percent(high) })),
    ...(links.length ? [element("p", links, { class: "seqs" })] : []),
  ], { class: isBad ? "moved bad" : "moved" });
}

const filled = (words, known) => words.replace("{wrong}", known.wrong).replace("{of}", known.of).replace("{before}", known.wrong_before);

function about(found) {
  return [facts([
    [tr("Candidate"), found.bundle_id.slice(0, 12)], [tr("beside"), found.active_bundles.map((id) => id.slice(0, 12)).join(", ")],
    [tr("Program"), found.program], [tr("Camera"), found.camera], [tr("begun"), `${clock(found.begun_utc)}, ${found.begun_by}`], [tr("Why"), found.why],
    [tr("ended"), found.ended_utc && [clock(found.ended_utc), found.ended_by, found.ended_why].filter(Boolean).join(", ")],
    [tr("its inspection takes"), found.median_ms === null ? null : `${found.median_ms.toFixed(0)} ms`],
  ])];
}

function flips(found) {
  if (!found.flips.length) return found.parts ? [element("p", tr("The two differ over no part."))] : [];
  return [section(tr("Parts over which they differ, the newest first"), [element("ul", found.flips.map(flip), { id: "flips" })])];
}

function flip(part) {
  const times = (score, limit) => (score === null || !limit ? "–" : `${number(score / limit, 2)} × ${tr("Limit")}`);
  const words = part.side === "TO_PASS" ? tr("the candidate passes") : tr("the candidate rejects");
  return element("li", [
    element("a", [thumbnail({ ...part, camera_numbers: [part.decided_by] }), element("b", `${tr("Part")} ${part.part_seq}`)], { href: `#part/${part.part_seq}` }),
    element("span", words, { class: "whyhere" }), element("small", `${tr("today")}: ${times(part.active_score, part.active_limit)}`),
    element("small", `${tr("Candidate")}: ${times(part.score, part.limit)}`), element("small", part.reason === "OK" ? "" : REASONS[part.reason] ?? part.reason),
  ], { class: part.side === "TO_PASS" ? "topass" : "toreject" });
}
