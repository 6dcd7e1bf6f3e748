// The view for the operator: the newest verdict, why, what it looked like, how the line stands.
import { drawStrip } from "./chart.js";
import { $, age, ask, element, number, pairs, reason } from "./dom.js";
import { showImageCondition, showShares } from "./judged.js";
import { newest as newestPart, on } from "./line.js";
import { tr } from "./tr.js";
import { CONDITIONS } from "./words.js";

const STATES = { READY: tr("READY"), BUSY: tr("READY"), FAULT: tr("FAULT: nothing passes"), SILENT: tr("SILENT") };
let shownSeq = 0;

export function start() {
  $("why").textContent = tr("Waiting for a part");
  $("opacity").addEventListener("input", () => { $("heat").style.opacity = $("opacity").value / 100; });
  $("heat").style.opacity = 0.8;
  on("state", showState);
  on("parts", showNewest);
  on("lost", lost);
}

export function show() {
  drawStrip();
  pictures.next();
}

function lost(isLost) {
  $("lost").hidden = !isLost;
  document.body.classList.toggle("old", isLost);
}

function showState(state) {
  $("simulated").hidden = !state.simulated;
  $("dryrun").hidden = !state.dry_run;
  const degraded = Object.values(state.degraded).join("; ");
  $("degraded").hidden = !degraded;
  $("degraded").textContent = `${tr("DEGRADED, still judging")}: ${degraded}`;
  $("bypass").hidden = !state.bypass;
  $("bypass").textContent = state.bypass;
  $("state").textContent = STATES[state.line] ?? state.line;
  $("state").className = `pill ${["READY", "BUSY"].includes(state.line) ? "ready" : "bad"}`;
  $("archive").textContent = state.archive;
  $("clock").textContent = new Date(state.utc).toLocaleTimeString();
  lost(state.line === "SILENT");
  const counters = state.counters;
  const share = counters.yield === null ? "–" : `${(100 * counters.yield).toFixed(1)} %`;
  pairs($("counters"), [
    ["PASS", counters.PASS], ["REJECT", counters.REJECT], ["FAULT", counters.FAULT], [tr("Yield"), share],
    [tr("a minute"), counters.per_minute.toFixed(1)], [tr("since"), new Date(counters.since_utc).toLocaleTimeString([], { timeStyle: "short" })],
  ]);
  $("links").replaceChildren(...Object.entries(state.conditions).map(([name, condition]) => element("li", [
    element("span", CONDITIONS[name] ?? name), element("time", age(condition.for_s)),
    ...(condition.why_not ? [element("small", condition.why_not)] : []),
  ], condition.why_not ? { class: "bad" } : {})));
}

function showNewest() {
  const newest = newestPart();
  drawStrip();
  if (!newest) return;
  $("verdict").className = `verdict ${newest.verdict}${newest.reason === "BYPASS" ? " person" : ""}`;
  $("word").textContent = newest.verdict;
  $("why").textContent = reason(newest);
  $("detail").textContent = newest.detail;
  $("which").textContent = `${tr("Part")} ${newest.part_seq}` + (newest.count === null ? "" : ` · ${tr("Count")} ${newest.count}`) + ` · ${Math.round(newest.latency_ms)} ms`;
  const ratio = newest.score !== null && newest.limit ? newest.score / newest.limit : null;
  $("gauge").hidden = ratio === null;
  $("gauge").firstElementChild.style.width = `${Math.min(100, 50 * (ratio ?? 0))}%`;
  $("scored").textContent = ratio === null ? "" : `${tr("Score")} ${number(newest.score)} · ${tr("Limit")} ${number(newest.limit)}`;
  showShares($("shares"), newest.shares, newest.limit);
  showImageCondition($("imagecondition"), newest.condition);
  if (newest.part_seq !== shownSeq) {
    shownSeq = newest.part_seq;
    pictures.want(newest);
  }
}

// One question at a time, and always about the newest part: a slow picture never makes a queue.
const pictures = {
  wanted: null, isBusy: false,
  want(part) { this.wanted = part; this.next(); },
  async next() {
    if (this.isBusy || !this.wanted || document.hidden || location.hash.startsWith("#part")) return;
    const part = this.wanted;
    this.wanted = null;
    this.isBusy = true;
    try { await showPictures(part); } finally { this.isBusy = false; }
    this.next();
  },
};
document.addEventListener("visibilitychange", () => pictures.next());

async function showPictures(part) {
  const camera = part.camera_numbers[0];
  let found = { pictures: [], problem: tr("No picture") };
  if (camera !== undefined) {
    for (let tries = 0; tries < 4; tries += 1) {
      try { found = await ask(`api/parts/${part.part_seq}/cameras/${camera}`); break; } catch (err) {
        found.problem = err.message;
        if (pictures.wanted) return;
        await new Promise((done) => setTimeout(done, 400)); // the image goes into the archive after the verdict
      }
    }
  }
  const address = (name) => `api/parts/${part.part_seq}/cameras/${camera}/${name}`;
  for (const [id, name] of [["image", "image"], ["heat", "heat"]]) {
    if (found.pictures.includes(name)) await swap($(id), address(name));
    else $(id).removeAttribute("src");
    $(id).hidden = !found.pictures.includes(name);
  }
  $("nopicture").textContent = found.pictures.includes("image") ? "" : found.problem;
}

function swap(image, address) {
  return new Promise((done) => { image.onload = image.onerror = done; image.src = address; });
}
