// What a person drew and wrote of one part and has not sent yet. Kept in this browser's session, for that person alone:
// a session that ends, or a page that is loaded again, loses none of it.
import { user } from "./person.js";

const PREFIX = "draft:";
const keyOf = (name, seq) => `${PREFIX}${name}:${seq}`;
const EMPTY = { defect: "", note: "", says: "", drawings: {} };

export class Pad {
  constructor(seq) {
    this.seq = seq;
    this.key = keyOf(user()?.name ?? "", seq);
    this.before = [];
    this.listeners = [];
    this.state = { ...EMPTY, ...this.#read() };
    this.wasKept = !this.isEmpty();
  }

  #read() {
    try { return JSON.parse(sessionStorage.getItem(this.key) ?? "{}"); } catch { return {}; } // somebody else wrote there
  }

  isEmpty() { return !this.state.defect && !this.state.note && !this.hasShapes(); }
  hasShapes() { return this.drawings().length > 0; }
  on(listener) { this.listeners.push(listener); }
  shapes(camera) { return this.state.drawings[camera]?.shapes ?? []; }

  // Every change goes through here, so that undo knows what was before.
  draw(camera, size, shapes, { isOneMove = false } = {}) {
    if (!isOneMove) this.before.push(this.state.drawings);
    const drawings = { ...this.state.drawings, [camera]: { width: size.width, height: size.height, shapes } };
    this.#set({ drawings });
  }

  undo() { if (this.before.length) this.#set({ drawings: this.before.pop() }); }
  clear() {
    if (!this.hasShapes()) return;
    this.before.push(this.state.drawings);
    this.#set({ drawings: {} });
  }

  write(fields) { this.#set(fields); }
  sent() {
    this.before = [];
    this.wasKept = false;
    this.#set(EMPTY);
  }

  // As the server takes it.
  drawings() {
    return Object.entries(this.state.drawings).filter(([, one]) => one.shapes.length)
      .map(([camera, one]) => ({ camera: Number(camera), ...one }));
  }

  #set(fields) {
    this.state = { ...this.state, ...fields };
    try {
      if (this.isEmpty()) sessionStorage.removeItem(this.key); else sessionStorage.setItem(this.key, JSON.stringify(this.state));
    } catch { /* this browser keeps nothing: it stays in this page, as long as that is open */ }
    this.listeners.forEach((listener) => listener());
  }
}

// Whoever signs out leaves nothing behind for the next one.
export function forget(name) {
  for (const key of Object.keys(sessionStorage)) if (key.startsWith(keyOf(name, ""))) sessionStorage.removeItem(key);
}
