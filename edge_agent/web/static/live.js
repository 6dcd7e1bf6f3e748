// The view for the operator: what is true now, the newest verdict, why, what it looked like, how the line stands.
import { drawStrip, startStrip } from "./chart.js";
import { $, age, element, pairs, timeOfDay } from "./dom.js";
import { on, silentFor, state } from "./line.js";
import { caption, pictures, showSeen, startPictures } from "./seen.js";
import { newestAge, standing } from "./standing.js";
import { studyWords } from "./study.js";
import { tr } from "./tr.js";
import { showVerdict } from "./verdict.js";
import { CONDITIONS } from "./words.js";

export function start() {
  startPictures();
  startStrip();
  on("state", showLine);
  on("state", showNow);
  on("parts", () => { showSeen(); drawStrip(); });
  on("tick", showNow);
  showNow();
}

export function show() {
  drawStrip();
  pictures.next();
}

function showNow() {
  showVerdict();
  caption();
  showAge();
}

// Also on the other views: a banner and the header never say that the line is well when nobody knows.
function showAge() {
  const newest_s = newestAge();
  $("stripage").textContent = newest_s === null ? "" : `${tr("newest {age} ago", { age: age(newest_s) })};`;
  const { kind, word, why } = standing(), isUnknown = ["LOST", "SILENT"].includes(kind);
  $("lost").hidden = !isUnknown;
  if (isUnknown) $("lost").textContent = `${why}. ${tr("What stands here is old.")}`;
  $("state").textContent = kind === "FAULT" ? tr("FAULT: nothing passes") : word;
  $("state").className = `pill ${{ READY: "ready", FAULT: "bad", LOCKED: "bad" }[kind] ?? "none"}`;
  if (!state) return;
  const at = timeOfDay(state.utc);
  $("clock").textContent = isUnknown ? tr("as of {time}", { time: at }) : at;
}

function showLine() {
  $("simulated").hidden = !state.simulated;
  $("dryrun").hidden = !state.dry_run;
  // A line that is locked has its own banner, and does not go on as before.
  const degraded = Object.entries(state.degraded).filter(([name]) => !(state.locked && name === "challenge")).map(([, why]) => why).join("; ");
  $("degraded").hidden = !degraded;
  $("degraded").textContent = `${tr("DEGRADED, still judging")}: ${degraded}`;
  $("locked").hidden = !state.locked;
  $("locked").textContent = state.locked;
  $("soon").hidden = !state.samples_soon;
  $("soon").textContent = state.samples;
  $("duebox").hidden = !state.samples || Boolean(state.locked);
  $("due").textContent = state.samples;
  $("bypass").hidden = !state.bypass;
  $("bypass").textContent = state.bypass;
  $("study").hidden = !state.study;
  if (state.study) $("study").textContent = studyWords(state.study);
  $("archive").textContent = state.archive;
  const counters = state.counters;
  const share = counters.yield === null ? "–" : `${(100 * counters.yield).toFixed(1)} %`;
  pairs($("counters"), [
    ["PASS", counters.PASS], ["REJECT", counters.REJECT], ["FAULT", counters.FAULT], [tr("Yield"), share],
    [tr("a minute"), counters.per_minute.toFixed(1)], [tr("since"), timeOfDay(counters.since_utc, { timeStyle: "short" })],
  ]);
  const links = Object.entries(state.conditions).sort(([, a], [, b]) => Boolean(b.why_not) - Boolean(a.why_not)); // what is wrong first
  $("links").replaceChildren(...links.map(([name, condition]) => link(name, condition)));
}

function link(name, { why_not: whyNot, for_s: seconds }) {
  return element("li", [
    element("span", CONDITIONS[name] ?? name),
    element("span", `${whyNot ? tr("not in order") : tr("in order")} · ${age(seconds + silentFor())}`, { class: "how" }),
    ...(whyNot ? [element("small", whyNot)] : []),
  ], whyNot ? { class: "bad" } : {});
}
