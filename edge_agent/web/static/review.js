// A queue of parts that a person should look at, the least certain first.
import { $, ask, clock, element, facts, number, reason } from "./dom.js";
import { thumbnail, verdict } from "./listed.js";
import { onKeys } from "./place.js";
import { sayForm } from "./say.js";
import { seenPictures } from "./seenpart.js";
import { tr, trn } from "./tr.js";

const WHY = {
  BAND: () => tr("Its score lies in the band below the limit in which a person decides."),
  NEAR: (part) => (part.verdict === "PASS" ? tr("It passed, and its score is near the limit.") : tr("It was rejected, and its score is near the limit.")),
  REJECT: () => tr("It was rejected, and nobody has said yet whether rightly."),
};
let queue = null, at = 0;

export function start() {
  $("queueagain").addEventListener("click", load);
  $("queuenext").addEventListener("click", next);
  onKeys("review", { n: next });
}

export function show() {
  load();
}

async function load() {
  $("queuesaid").textContent = tr("Searching…");
  $("queuepart").replaceChildren();
  $("queuelist").replaceChildren();
  $("queuenext").hidden = true;
  try { queue = await ask("api/queue"); } catch (err) { $("queuesaid").textContent = err.message; return; }
  at = 0;
  $("queuelist").replaceChildren(...queue.parts.map((part, index) => {
    const button = element("button", [thumbnail(part), element("b", part.verdict, { class: part.verdict }), ` ${part.part_seq}`], { type: "button", class: "quiet" });
    button.addEventListener("click", () => { at = index; look(); });
    return element("li", button);
  }));
  look();
}

function next() {
  if (!queue || at >= queue.parts.length) return;
  at += 1;
  look();
}

async function look() {
  const part = queue.parts[at];
  [...$("queuelist").querySelectorAll("button")].forEach((button, index) => {
    if (index === at) button.setAttribute("aria-current", "true"); else button.removeAttribute("aria-current");
  });
  $("queuenext").hidden = !part;
  if (!part) {
    $("queuesaid").textContent = queue.parts.length ? tr("That was the last of them.") : tr("Nothing to look at: no reject without a review, no pass near the limit.");
    $("queuepart").replaceChildren();
    return;
  }
  $("queuesaid").textContent = `${at + 1} / ${queue.parts.length}` + (queue.number > queue.parts.length ? ` · ${trn("{n} part in all", "{n} parts in all", queue.number)}` : "");
  const ratio = part.score !== null && part.limit ? `${number(part.score / part.limit, 3)} × ${tr("Limit")}` : null;
  const link = element("a", `${tr("Part")} ${part.part_seq}`, { href: `#part/${part.part_seq}` });
  const pictures = element("div", element("p", tr("Searching…")));
  const words = element("div", [
    element("h2", [...verdict(part), " ", link]),
    element("p", (WHY[part.why] ?? WHY.REJECT)(part), { class: "whyhere" }),
    sayForm({ ...part, can_review: queue.can_review }, () => taken(part)),
    facts([[tr("Reason"), reason(part)], [tr("In words"), part.detail], [tr("Score"), ratio], [tr("Time"), clock(part.decided_utc)], [tr("Count"), part.count], [tr("Program"), part.program]]),
  ]);
  $("queuepart").replaceChildren(element("div", [pictures, words], { class: "beside" }));
  const camera = part.decided_by ?? part.camera_numbers[0];
  const seen = camera === undefined || camera === null ? [element("p", tr("no image came"))] : await seenPictures(part, camera);
  if (queue.parts[at] === part) pictures.replaceChildren(...seen);
}

// What was said stands on its button in the list, and the next part comes up.
function taken(part) {
  const button = $("queuelist").querySelectorAll("button")[queue.parts.indexOf(part)];
  button?.classList.add("done");
  if (queue.parts[at] === part) { next(); $("queuesaid").focus(); }
}
