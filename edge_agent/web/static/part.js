// One part with all that the journal holds of it, its pictures, and the way to the parts beside it.
import { $, ask, clock, element, exact, facts, number, reason } from "./dom.js";
import { drawingIn } from "./draw.js";
import { showImageCondition, showShares } from "./judged.js";
import { DRAWING_KEYS, SAYING_KEYS, tellKeys } from "./keyhelp.js";
import { verdict } from "./listed.js";
import { Pad } from "./pad.js";
import { known } from "./person.js";
import { onKeys } from "./place.js";
import { sayForm } from "./say.js";
import { sayingKeys } from "./sayingkeys.js";
import { seenPictures } from "./seenpart.js";
import { standingOf, wordsOn } from "./told.js";
import { tr } from "./tr.js";
import { PUBLISHED } from "./words.js";

const WAYS = { previous: "partprevious", following: "partnext", previous_reject: "rejectprevious", following_reject: "rejectnext" };
let shownSeq = "";

export function start() {
  const follow = (id) => () => { if (!$(id).hidden) location.hash = $(id).hash; };
  onKeys("part", {
    ArrowLeft: follow("partprevious"), ArrowRight: follow("partnext"), k: follow("rejectprevious"), j: follow("rejectnext"), ...sayingKeys("part", () => drawingIn("part")),
  });
  tellKeys("part", [["← →", tr("part before, part after")], ["k j", tr("reject before, reject after")], ...SAYING_KEYS, ...DRAWING_KEYS, ["?", tr("this help")]]);
  $("copypart").addEventListener("click", copy);
  $("printpart").addEventListener("click", () => print());
}

export function show(seq) {
  showPart(seq || "");
}

async function showPart(seq, query = "") {
  shownSeq = seq;
  $("parttitle").textContent = `${tr("Part")} ${seq}`;
  $("copied").textContent = "";
  $("partverdict").replaceChildren();
  const body = $("partbody");
  body.replaceChildren(element("p", tr("Searching…")));
  Object.values(WAYS).forEach((id) => { $(id).hidden = true; });
  if (!/^\d+$/.test(seq)) { body.replaceChildren(element("p", tr("A part has a number from 1 on: the field Find knows it by its count, image or time."))); return; }
  try {
    const [part] = await Promise.all([ask(`api/parts/${encodeURIComponent(seq)}${query}`), known()]);
    if (seq !== shownSeq) return;
    for (const [way, id] of Object.entries(WAYS)) {
      $(id).hidden = part.beside[way] === null;
      $(id).href = `#part/${part.beside[way]}`;
    }
    $("partverdict").replaceChildren(...verdict(part));
    const pad = new Pad(part.part_seq), standing = element("div", standingAndWords(part), { class: "standing" });
    const review = element("section", [element("h2", tr("Review")), standing, sayForm(part, pad, () => { reviewed(seq); }, () => reviewed(seq))], { class: "reviewed" });
    const pictures = element("div");
    body.replaceChildren(element("div", [pictures, element("div", [summary(part), review])], { class: "beside" }));
    // The camera that decided is the first to look at.
    const cameras = [...part.cameras].sort((a, b) => (b.camera === part.decided_by) - (a.camera === part.decided_by));
    for (const camera of cameras) {
      const shown = await cameraOf(part, camera, part.can_say.length && part.can_review ? pad : null);
      if (seq !== shownSeq) return;
      pictures.append(shown);
    }
  } catch (err) { if (seq === shownSeq) body.replaceChildren(element("p", err.message)); }
}

function summary(part) {
  return element("section", facts([
    [tr("Reason"), `${reason(part)} (${part.reason})`], [tr("In words"), part.detail], [tr("Time"), clock(part.decided_utc)], ["UTC", part.decided_utc.slice(0, 19)],
    [tr("Count"), part.count], [tr("Program"), part.program], [tr("Score"), exact(part.score)], [tr("Limit"), exact(part.limit)],
    [tr("Bundle"), part.bundle_id], [tr("The controller's judgement"), part.controller_judgement], [tr("On the wire"), PUBLISHED[part.published] ?? part.published],
    [tr("Time to verdict"), `${part.latency_ms} ms`],
  ]));
}

const standingAndWords = (part) => [...standingOf(part, () => showPart(String(part.part_seq), "?shown=yes")), ...wordsOn(part)];

// What was said just now, out of the journal: the form stays as it is, so that its word of success does too.
async function reviewed(seq) {
  const part = await ask(`api/parts/${encodeURIComponent(seq)}`);
  if (seq !== shownSeq) return null;
  document.querySelector("#partbody .standing").replaceChildren(...standingAndWords(part));
  document.querySelectorAll("#partbody .others").forEach((over) => over.showOthers(part.reviews));
  return part.reviews.length;
}

async function cameraOf(part, camera, pad) {
  const lies = camera.alignment, decided = camera.camera === part.decided_by && part.cameras.length > 1 ? ` · ${tr("decided")}` : "";
  const shares = element("dl", [], { class: "shares" }), condition = element("dl", [], { class: "shares condition" });
  showShares(shares, camera.shares, camera.score, camera.limit);
  showImageCondition(condition, camera.condition);
  return element("section", [
    element("h2", `${tr("Camera")} ${camera.camera}${decided}`), ...(await seenPictures(part, camera.camera, pad)), shares, condition, facts([
      [tr("Score"), exact(camera.score)], [tr("Limit"), exact(camera.limit)], [tr("In words"), camera.detail],
      [tr("Lies"), lies && `x ${number(lies.shift_x_px, 2)} px, y ${number(lies.shift_y_px, 2)} px, ${number(lies.angle_deg, 2)}°, × ${number(lies.scale, 4)}, ${number(lies.quality, 4)}`],
      [tr("Stages"), Object.entries(camera.timings_ms).map(([stage, ms]) => `${stage} ${ms.toFixed(1)} ms`).join(" · ")],
      [tr("Name of the image"), camera.image_name], [tr("SHA-256 of the image"), camera.image_sha256],
    ]),
  ]);
}

async function copy() {
  try {
    if (navigator.clipboard) await navigator.clipboard.writeText(shownSeq); else copyByHand(shownSeq);
    $("copied").textContent = tr("{number} is copied.", { number: shownSeq });
  } catch { $("copied").textContent = tr("This browser does not let the page copy: the number is {number}.", { number: shownSeq }); }
}

// Over plain http, as on a line's network, a browser has no clipboard but this way.
function copyByHand(text) {
  const field = element("textarea", text, { class: "unseen" });
  document.body.append(field);
  field.select();
  const isDone = document.execCommand("copy");
  field.remove();
  $("copypart").focus();
  if (!isDone) throw new Error("not copied");
}
