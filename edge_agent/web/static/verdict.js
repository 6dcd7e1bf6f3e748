// The big panel: the newest verdict while it is of now, else how the line stands and what to do. Never a green of before.
import { $, age, number, reason, timeOfDay } from "./dom.js";
import { verdictOf } from "./judged.js";
import { newest, state } from "./line.js";
import { isPast, newestAge, standing } from "./standing.js";
import { studyWords } from "./study.js";
import { tr } from "./tr.js";
import { PUBLISHED } from "./words.js";

const SAID_EVERY_MS = 3000;
const ago = (seconds) => (seconds === null ? "" : tr("{age} ago", { age: age(seconds) }));
let said = "", saidAt = -Infinity;

const why = (part) => (part.held_back ? PUBLISHED[part.published] ?? part.published : reason(part));

export function showVerdict() {
  const part = newest(), now = standing(), isOld = isPast();
  document.body.classList.toggle("old", ["LOST", "SILENT"].includes(now.kind));
  document.body.classList.toggle("past", isOld);
  const isOfPart = now.kind === "READY" && part;
  if (isOfPart) showPart(part, isOld); else showStanding(now, part);
  if (now.kind === "OPENING") return;
  const heard = isOfPart ? `${tr("Part")} ${part.part_seq}: ${verdictOf(part)}. ${why(part)}` : `${now.word}. ${now.why}. ${now.details.join("; ")}`;
  say(state?.study ? `${heard} ${studyWords(state.study)}` : heard);
}

function showPart(part, isOld) {
  const byPerson = part.reason === "BYPASS";
  panel(`${verdictOf(part)}${byPerson ? " person" : ""}${isOld ? " past" : ""}`, verdictOf(part), why(part), part.held_back ? tr("It was judged PASS.") : part.detail);
  fill("advice", "");
  fill("which", [`${tr("Part")} ${part.part_seq}`, part.count === null ? "" : `${tr("Count")} ${part.count}`, `${Math.round(part.latency_ms)} ms`].filter(Boolean).join(" · "));
  const judged = part.seen_by.find((seen) => seen.camera === part.decided_by), score = judged?.score ?? part.score, limit = judged?.limit ?? part.limit;
  const ratio = score !== null && limit ? score / limit : null;
  $("gauge").hidden = ratio === null;
  $("gauge").firstElementChild.style.width = `${Math.max(0, Math.min(100, 50 * (ratio ?? 0)))}%`; // a negative width would leave the one of before
  fill("scored", ratio === null ? "" : `${tr("Score")} ${number(score)} · ${tr("Limit")} ${number(limit)}`);
  fill("last", isOld ? tr("{age} ago: no part since then", { age: age(newestAge() ?? 0) }) : ago(newestAge()));
}

function showStanding(now, part) {
  panel(now.kind, now.word, now.why, now.details.slice(0, 3).join("\n"));
  fill("advice", now.advice);
  fill("which", ["READY", "OPENING", "LOCKED"].includes(now.kind) ? "" : since(now.since_s));
  $("gauge").hidden = true;
  fill("scored", "");
  if (!part) return fill("last", "");
  const age_s = newestAge();
  fill("last", `${tr("Last part")} ${part.part_seq}: ${verdictOf(part)}${age_s === null ? "" : `, ${ago(age_s)}`}`);
}

function since(seconds) {
  const at = new Date(Date.now() - 1000 * seconds);
  return tr("since {time} ({age})", { time: timeOfDay(at, { timeStyle: "short" }), age: age(seconds) });
}

function panel(kind, word, why, detail) {
  $("verdict").className = `verdict ${kind}`;
  const shape = { PASS: "pass", REJECT: "reject", FAULT: "fault", LOCKED: "reject", READY: "ready" }[kind.split(" ")[0]] ?? "silent";
  $("shape").firstElementChild.setAttribute("href", `#shape-${shape}`);
  $("word").style.setProperty("--letters", Math.max(4, width(word)));
  fill("word", word);
  fill("why", why);
  fill("detail", detail);
}

// In capital letters; a Chinese or Japanese sign is half as wide again.
const width = (word) => [...word].reduce((sum, sign) => sum + (sign > "\u2e80" ? 1.5 : 1), 0);

// What is the same stays the same element: a person may be marking it, a screen reader reading it.
function fill(id, text) {
  if ($(id).textContent !== text) $(id).textContent = text;
  $(id).hidden = text === "";
}

// For who hears the page: what changed, a few seconds apart at the least, the newest word first.
function say(text) {
  if (text.replace(/\d+/g, "") === said.replace(/\d+/g, "") || performance.now() - saidAt < SAID_EVERY_MS) return;
  said = text;
  saidAt = performance.now();
  $("said").textContent = text;
}
