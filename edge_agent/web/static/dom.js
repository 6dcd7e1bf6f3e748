// What every view is built from. Whatever comes from outside is set as text, never as markup.
import { LANGUAGE, REASONS } from "./words.js";

export const $ = (id) => document.getElementById(id);

export function element(name, content, attributes = {}) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  for (const child of [content ?? []].flat()) made.append(child);
  return made;
}

export function pairs(list, items) {
  list.replaceChildren(...items.flatMap(([name, value]) => [element("dt", name), element("dd", String(value))]));
}

export function facts(items) {
  const list = element("dl", [], { class: "facts" });
  pairs(list, items.filter(([, value]) => value !== null && value !== undefined && value !== ""));
  return list;
}

export const number = (value, digits = 3) => (value === null || value === undefined ? "–" : Number(value).toFixed(digits));
export const exact = (value) => (value === null || value === undefined ? value : Number(value).toPrecision(6)); // the journal has all digits
// English of which country is the browser's to say.
const LOCALE = LANGUAGE === "en" ? undefined : LANGUAGE;
export const clock = (utc) => new Date(utc).toLocaleString(LOCALE);
export const timeOfDay = (at, options) => new Date(at).toLocaleTimeString(LOCALE, options);
export const reason = (part) => REASONS[part.reason] ?? part.reason;

export function age(seconds) {
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  return `${Math.floor(seconds / 86400)} d`;
}

// The answer as JSON; an Error with the server's words and its status otherwise. Addresses are relative: a proxy may put a path before them.
export async function ask(address, options) {
  const answer = await fetch(address, options);
  if (answer.ok) return answer.json();
  const said = await answer.text();
  let message = said;
  try { message = JSON.parse(said).error || said; } catch { /* plain text */ }
  throw Object.assign(new Error(message || `${answer.status}`), { status: answer.status });
}
