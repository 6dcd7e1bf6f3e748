// What is true now, in words: whether parts can pass, and if not, why, since when and what a person does first.
import { isHeard, isLost, newest, parts, silentFor, state } from "./line.js";
import { tr } from "./tr.js";
import { ADVICE, CONDITIONS } from "./words.js";

const STUCK_AFTER_S = 5;
const [OLD_AT_LEAST_S, OLD_UNKNOWN_S, OLD_AT_MOST_S, OLD_SPACINGS] = [10, 30, 600, 5];
let goodSince = null; // when the line last came back to READY while this page watched, in ms of the steady clock
let wasGood = true;

/** `kind` is READY, FAULT, SILENT (the agent), LOST (the page) or OPENING; `since_s` how long that has been so. */
export function standing() {
  const found = judged();
  const isGood = found.kind === "READY";
  if (isGood && !wasGood) goodSince = performance.now();
  wasGood = isGood || found.kind === "OPENING";
  return found;
}

function judged() {
  const silent = silentFor();
  if (!isHeard() && !isLost()) return { kind: "OPENING", word: "…", why: tr("Waiting for the line PC"), details: [], advice: "", since_s: silent };
  if (isLost()) {
    return {
      kind: "LOST", word: tr("NO SIGNAL"), why: tr("This page hears nothing from the line PC"), details: [], since_s: silent,
      advice: tr("Look at the line itself, not at this page. Is the line PC on, and has this screen its network? The page comes back by itself."),
    };
  }
  if (state.line === "SILENT") {
    return {
      kind: "SILENT", word: tr("SILENT"), why: tr("The inspection does not answer"), details: [], since_s: state.line_for_s + silent,
      advice: tr("The output falls back to REJECT. Look at the line itself; if this stays for a minute, call maintenance."),
    };
  }
  if (state.journal_ago_s > STUCK_AFTER_S) {
    return {
      kind: "SILENT", word: tr("NO SIGNAL"), why: tr("This page cannot read the newest parts"), details: [], since_s: state.journal_ago_s + silent,
      advice: tr("The line may go on. Look at the line itself; if this stays for a minute, call maintenance."),
    };
  }
  if (["READY", "BUSY"].includes(state.line) && state.locked) {
    return {
      kind: "LOCKED", word: tr("LOCKED"), why: tr("Nothing passes until the samples were shown"), details: [], since_s: state.line_for_s + silent,
      advice: tr("Show the samples in their order: edge-agent challenge"),
    };
  }
  if (["READY", "BUSY"].includes(state.line)) return { kind: "READY", word: tr("READY"), why: tr("Waiting for a part"), details: [], advice: "", since_s: state.line_for_s + silent };
  const missing = Object.entries(state.conditions).filter(([, condition]) => condition.why_not);
  return {
    kind: "FAULT", word: tr("FAULT"), why: tr("Nothing passes"), since_s: state.line_for_s + silent,
    details: missing.map(([name, condition]) => `${CONDITIONS[name] ?? name}: ${condition.why_not}`),
    advice: missing.map(([name]) => ADVICE[name]).find(Boolean) ?? tr("Call maintenance: edge-agent doctor says what is missing."),
  };
}

/** Seconds since the newest part was decided, by the line PC's clock; null before the first. */
export function newestAge() {
  return state?.newest && state.newest.part_seq === newest()?.part_seq ? state.newest.ago_s + silentFor() : null;
}

/** Whether the newest verdict is of before: much older than this line's parts come, or than its way back to READY. */
export function isPast() {
  const age = newestAge();
  if (age === null || standing().kind !== "READY") return true;
  const back = goodSince === null ? Infinity : (performance.now() - goodSince) / 1000;
  return age > back + 1 || age > usualSpacing();
}

function usualSpacing() {
  const times = [...parts.values()].map((part) => Date.parse(part.decided_utc)).sort((a, b) => a - b).slice(-31);
  const gaps = times.slice(1).map((at, index) => (at - times[index]) / 1000).sort((a, b) => a - b);
  if (gaps.length < 3) return OLD_UNKNOWN_S;
  return Math.min(OLD_AT_MOST_S, Math.max(OLD_AT_LEAST_S, OLD_SPACINGS * gaps[Math.floor(gaps.length / 2)]));
}
