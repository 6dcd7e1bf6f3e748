// What the server streams: the line once, how it stands every second, its newest parts. Views say what they want to hear.
const KEPT = 300;
const LOST_AFTER_S = 3.5;
const ASK_AGAIN_AFTER_S = 8;
const AGAIN_MS = 2000;
const listeners = { hello: [], state: [], parts: [], tick: [] };
const moment = () => ({ wall: Date.now(), steady: performance.now() });
let stream = null;
let begun = moment(); // of this stream
let heard = null; // when something new was last told
let told = ""; // the server's time of then
let delay = Infinity; // the least difference between its clock and ours in this stream
export let state = null; // the last that was told

export const parts = new Map(); // part_seq -> part, in the order of their numbers
export const line = { can_review: false, programs: [], deadline_ms: 0, line: "" };
export const newest = () => parts.get(Math.max(...parts.keys()));
export const on = (name, listener) => listeners[name].push(listener);
const tell = (name, value) => listeners[name].forEach((listener) => listener(value));

// A steady clock may stand still while a device sleeps, and the other one may be set: whichever says more counts.
const since = (then) => Math.max(Date.now() - then.wall, performance.now() - then.steady) / 1000;

/** Seconds since the server told something new; since this page began to ask, where it never did. */
export const silentFor = () => since(heard ?? begun);
export const isLost = () => silentFor() > LOST_AFTER_S;
export const isHeard = () => heard !== null;

// What comes again and again with the same time, or out of a buffer after a sleep, is no word of now.
function isOfNow(utc) {
  const late = Date.now() - Date.parse(utc);
  delay = Math.min(delay, late);
  return utc !== told && late - delay < LOST_AFTER_S * 1000;
}

function take(said) {
  if (!isOfNow(said.utc)) return;
  told = said.utc;
  heard = moment();
  state = said;
  tell("state", state);
}

function open() {
  stream?.close();
  begun = moment();
  delay = Infinity;
  stream = new EventSource("events");
  stream.addEventListener("hello", (event) => {
    Object.assign(line, JSON.parse(event.data));
    parts.clear(); // all that the server remembers follows: what it does not may be of a journal before, with higher numbers
    tell("hello", line);
  });
  stream.addEventListener("state", (event) => take(JSON.parse(event.data)));
  stream.addEventListener("parts", (event) => {
    for (const part of JSON.parse(event.data)) parts.set(part.part_seq, part);
    while (parts.size > KEPT) parts.delete(Math.min(...parts.keys()));
    tell("parts", parts);
  });
  // A browser asks again by itself where nobody answers, and never where the answer is no stream: of a proxy whose page is gone
  // (502), or of a full house (503).
  const opened = stream;
  stream.addEventListener("error", () => {
    if (opened.readyState === EventSource.CLOSED) setTimeout(() => { if (stream === opened) open(); }, AGAIN_MS);
  });
}

// A browser does not notice a stream that broke while it slept.
function tick() {
  if (isLost() && since(begun) > ASK_AGAIN_AFTER_S) open();
  tell("tick");
}

export function follow() {
  open();
  setInterval(tick, 500);
  for (const name of ["visibilitychange", "pageshow", "focus", "online", "resume"]) {
    (name === "visibilitychange" || name === "resume" ? document : window).addEventListener(name, tick);
  }
}
