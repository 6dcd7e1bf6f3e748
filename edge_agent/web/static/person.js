// Who is signed in at this browser. A line without users has nobody: there the token says who may write.
import { $, ask, element } from "./dom.js";
import { tr } from "./tr.js";

let told = { has_users: false, user: null }, learned = null;

export const hasUsers = () => told.has_users;
export const user = () => told.user;
export const may = (action) => Boolean(told.user?.may.includes(action));
export const wantsPassword = (action) => Boolean(told.user?.password_for.includes(action));
export const signedAs = () => tr("You sign as {name} ({role}).", { name: told.user.name, role: told.user.role_words });

// Asked anew after each sign-in and whenever the server knows nobody; known() waits for the newest answer.
export function learn() {
  learned = ask("api/session").catch(() => told).then((answer) => { told = answer; show(); });
  return learned;
}

export const known = () => learned ?? learn();

function show() {
  $("who").hidden = !told.has_users;
  $("who").textContent = told.user?.name ?? tr("Sign in");
  $("who").title = told.user?.role_words ?? "";
}

// What stands where a form would, while nobody who may is signed in; null where somebody is.
export function whyNot(action) {
  if (!told.user) return element("p", [element("a", tr("Sign in"), { href: "#signin", class: "button" }), ...(told.why_not ? [` ${told.why_not}`] : [])]);
  return may(action) ? null : element("p", tr("{name} is {role} and may not sign for this.", { name: told.user.name, role: told.user.role_words }));
}

export function passwordField() {
  const field = element("input", [], { required: "", type: "password", autocomplete: "current-password", name: "password", maxlength: "200" });
  return [field, element("label", [tr("Your password"), field])];
}
