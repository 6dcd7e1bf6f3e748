// Words in the browser's language: the English sentence stands where it is read; the server sends the others with words.js.
import { TABLE } from "./words.js";

const filled = (text, values) => text.replace(/\{(\w+)\}/g, (found, name) => (name in values ? String(values[name]) : found));

export const tr = (text, values = {}) => filled(TABLE[text]?.[0] ?? text, values);

// Of a number of things: trn("{n} part", "{n} parts", 3). A language has as many forms as its catalogue says.
export function trn(one, many, n, values = {}) {
  const forms = TABLE[one] ?? [one, many];
  return filled(forms[Math.min(n === 1 ? 0 : 1, forms.length - 1)], { n, ...values });
}
