// Which view is shown, by the address behind the #. A view is a file: start() once, show(rest) whenever it comes up.
import * as changes from "./changes.js";
import { $ } from "./dom.js";
import * as drift from "./drift.js";
import * as find from "./find.js";
import * as history from "./history.js";
import * as keyhelp from "./keyhelp.js";
import * as learning from "./learning.js";
import { follow, on } from "./line.js";
import * as live from "./live.js";
import * as part from "./part.js";
import { learn } from "./person.js";
import * as review from "./review.js";
import * as samples from "./samples.js";
import * as shadow from "./shadow.js";
import * as signin from "./signin.js";
import * as whatif from "./whatif.js";

const VIEWS = { live, history, part, review, whatif, shadow, learning, drift, samples, changes, find, signin };
const shown = () => document.querySelector("main:not([hidden])");

function go() {
  const [asked, rest] = location.hash.slice(1).split("/");
  const name = Object.hasOwn(VIEWS, asked) ? asked : "live";
  for (const main of document.querySelectorAll(".view")) main.hidden = main.id !== name;
  for (const link of document.querySelectorAll("nav a")) {
    if (link.hash === `#${name}`) link.setAttribute("aria-current", "page"); else link.removeAttribute("aria-current");
  }
  VIEWS[name].show(rest);
}

on("hello", (line) => {
  $("line").textContent = line.line;
  document.title = `${line.line} · edge-agent`;
});
// One switch for this browser; the server answers in its language from then on.
$("language").addEventListener("change", () => {
  document.cookie = `language=${$("language").value}; path=${location.pathname}; max-age=31536000; samesite=strict`;
  // To read waits until the browser has written: else the page may be asked for without the new cookie.
  if (!document.cookie.includes("language=")) console.warn("this browser keeps no cookies");
  location.reload();
});
// The address behind the # is the view's, so that a skip link cannot be one of those.
$("skip").addEventListener("click", (event) => { event.preventDefault(); shown().focus(); });
for (const main of document.querySelectorAll("main")) main.tabIndex = -1; // to be focused when it comes up
for (const view of [...Object.values(VIEWS), keyhelp]) view.start?.();
addEventListener("hashchange", () => { go(); shown().focus({ preventScroll: true }); scrollTo(0, 0); });
follow();
learn();
go();
