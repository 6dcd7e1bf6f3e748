// What the server streams: the line once, how it stands every second, its newest parts. Views say what they want to hear.
const KEPT = 300;
const SILENT_AFTER_MS = 3500;
const AGAIN_MS = 2000;
const listeners = { hello: [], state: [], parts: [], lost: [] };
let lastHeard = performance.now();

export const parts = new Map(); // part_seq -> part, in the order of their numbers
export const line = { can_review: false, programs: [], deadline_ms: 0, line: "" };
export const newest = () => parts.get(Math.max(...parts.keys()));
export const on = (name, listener) => listeners[name].push(listener);
const tell = (name, value) => listeners[name].forEach((listener) => listener(value));

export function follow() {
  listen();
  setInterval(() => tell("lost", performance.now() - lastHeard > SILENT_AFTER_MS), 500);
}

function listen() {
  const stream = new EventSource("events");
  stream.addEventListener("hello", (event) => { Object.assign(line, JSON.parse(event.data)); tell("hello", line); });
  stream.addEventListener("state", (event) => { lastHeard = performance.now(); tell("state", JSON.parse(event.data)); });
  stream.addEventListener("parts", (event) => {
    for (const part of JSON.parse(event.data)) parts.set(part.part_seq, part);
    while (parts.size > KEPT) parts.delete(Math.min(...parts.keys()));
    tell("parts", parts);
  });
  // A browser asks again by itself where nobody answers, and never where the answer is no stream: of a proxy whose page is gone (502), or of a full house (503).
  stream.addEventListener("error", () => { if (stream.readyState === EventSource.CLOSED) setTimeout(listen, AGAIN_MS); });
}
