// A queue of parts that a person should look at: what people differ over, second readings, and the least certain first.
import { $, ask, clock, element, facts, number, reason } from "./dom.js";
import { drawingIn } from "./draw.js";
import { DRAWING_KEYS, SAYING_KEYS, tellKeys } from "./keyhelp.js";
import { thumbnail, verdict } from "./listed.js";
import { Pad } from "./pad.js";
import { known, user } from "./person.js";
import { onKeys } from "./place.js";
import { showAgreement } from "./reviewers.js";
import { sayingKeys } from "./sayingkeys.js";
import { sayForm } from "./say.js";
import { seenPictures } from "./seenpart.js";
import { standingOf, wordsOn } from "./told.js";
import { tr, trn } from "./tr.js";

const WHY = {
  DISPUTED: () => tr("Two people have said different things of it."),
  SECOND: () => tr("It is to be read by a second person."),
  BAND: () => tr("Its score lies in the band below the limit in which a person decides."),
  NEAR: (part) => (part.verdict === "PASS" ? tr("It passed, and its score is near the limit.") : tr("It was rejected, and its score is near the limit.")),
  REJECT: () => tr("It was rejected, and nobody has said yet whether rightly."),
};
let queue = null, at = 0, which = "mine";

export function start() {
  $("queueagain").addEventListener("click", load);
  $("queuenext").addEventListener("click", next);
  $("queueback").addEventListener("click", back);
  const choices = [...document.querySelectorAll("#queuewhich button")];
  choices.forEach((choice) => choice.addEventListener("click", () => choose(choice.value)));
  const drawing = () => drawingIn("review");
  onKeys("review", {
    n: next, p: back, l: load, 1: () => choose("mine"), 2: () => choose("disputed"), 3: () => choose("all"), ...sayingKeys("review", drawing),
  });
  tellKeys("review", [
    ["n", tr("next part, without a word")], ["p", tr("part before")], ["1 2 3", tr("mine, disputed, all")], ["l", tr("look for parts again")], ...SAYING_KEYS, ...DRAWING_KEYS, ["?", tr("this help")],
  ]);
}

export function show() {
  load();
  showAgreement();
}

function choose(wanted) {
  which = wanted;
  load();
}

async function load() {
  for (const choice of document.querySelectorAll("#queuewhich button")) choice.setAttribute("aria-pressed", String(choice.value === which));
  $("queuesaid").textContent = tr("Searching…");
  $("queuepart").replaceChildren();
  $("queuelist").replaceChildren();
  $("queuenext").hidden = $("queueback").hidden = true;
  const wanted = which;
  await known();
  let found;
  try { found = await ask(`api/queue?which=${wanted}`); } catch (err) { $("queuesaid").textContent = err.message; return; }
  if (wanted !== which) return; // another one was chosen meanwhile
  queue = found;
  $("disputedcount").textContent = queue.disputed ? ` (${queue.disputed})` : "";
  at = 0;
  $("queuelist").replaceChildren(...queue.parts.map((part, index) => {
    const button = element("button", [thumbnail(part), element("b", part.verdict, { class: part.verdict }), ` ${part.part_seq}`], { type: "button", class: "quiet" });
    button.addEventListener("click", () => { at = index; look(); });
    return element("li", button);
  }));
  look();
}

const next = () => go(1), back = () => go(-1);
function go(step) {
  if (!queue || at + step > queue.parts.length || at + step < 0) return;
  at += step;
  look();
}

async function look() {
  const part = queue.parts[at];
  [...$("queuelist").querySelectorAll("button")].forEach((button, index) => {
    if (index === at) button.setAttribute("aria-current", "true"); else button.removeAttribute("aria-current");
  });
  $("queuenext").hidden = !part;
  $("queueback").hidden = at === 0;
  if (!part) {
    $("queuesaid").textContent = queue.parts.length ? tr("That was the last of them.") : NOTHING[which === "mine" && !user() ? "all" : which];
    $("queuepart").replaceChildren();
    return;
  }
  $("queuesaid").textContent = `${at + 1} / ${queue.parts.length}` + (queue.number > queue.parts.length ? ` · ${trn("{n} part in all", "{n} parts in all", queue.number)}` : "");
  const ratio = part.score !== null && part.limit ? `${number(part.score / part.limit, 3)} × ${tr("Limit")}` : null;
  const link = element("a", `${tr("Part")} ${part.part_seq}`, { href: `#part/${part.part_seq}` });
  const pad = new Pad(part.part_seq), pictures = element("div", element("p", tr("Searching…")));
  const words = element("div", [
    element("h2", [...verdict(part), " ", link]),
    element("p", (WHY[part.why] ?? WHY.REJECT)(part), { class: "whyhere" }),
    element("div", [...standingOf(part, () => showAll(part)), ...wordsOn(part)], { class: "standing" }),
    sayForm({ ...part, can_review: queue.can_review }, pad, () => taken(part), () => lookAgain(part)),
    facts([[tr("Reason"), reason(part)], [tr("In words"), part.detail], [tr("Score"), ratio], [tr("Time"), clock(part.decided_utc)], [tr("Count"), part.count], [tr("Program"), part.program]]),
  ]);
  $("queuepart").replaceChildren(element("div", [pictures, words], { class: "beside" }));
  const camera = part.decided_by ?? part.camera_numbers[0];
  const seen = camera === undefined || camera === null ? [element("p", tr("no image came"))] : await seenPictures(part, camera, part.can_say.length && queue.can_review ? pad : null);
  if (queue.parts[at] === part) pictures.replaceChildren(...seen);
}

// Asked anew with nothing kept back, or because somebody said something meanwhile. How many reviews there are now.
async function lookAgain(part, query = "") {
  let told;
  try { told = await ask(`api/parts/${part.part_seq}${query}`); } catch { return null; } // the form says what was refused
  const now = { ...part, reviews: told.reviews, standing: told.standing, settled_by: told.settled_by, kept_back: told.kept_back, may_decide: told.may_decide, has_spoken: told.has_spoken };
  queue.parts[queue.parts.indexOf(part)] = now;
  if (queue.parts[at] !== now) return told.reviews.length;
  document.querySelectorAll("#queuepart .standing").forEach((one) => one.replaceChildren(...standingOf(now, () => showAll(now)), ...wordsOn(now)));
  document.querySelectorAll("#queuepart .others").forEach((over) => over.showOthers(now.reviews));
  return told.reviews.length;
}

async function showAll(part) {
  await lookAgain(part, "?shown=yes");
  look();
}

// What was said stands on its button in the list, and the next part comes up.
function taken(part) {
  const index = queue.parts.findIndex((one) => one.part_seq === part.part_seq);
  $("queuelist").querySelectorAll("button")[index]?.classList.add("done");
  if (index === at) { next(); $("queuesaid").focus(); }
}

const NOTHING = {
  mine: tr("Nothing for you to look at: no reject without a review, no pass near the limit, nothing to decide."), disputed: tr("People differ over no part."),
  all: tr("Nothing to look at: no reject without a review, no pass near the limit."),
};
