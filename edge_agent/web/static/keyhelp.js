// A window that tells the keys of the view on the screen: ? opens it, Escape closes it.
import { $, element } from "./dom.js";
import { tr } from "./tr.js";

const told = new Map(); // view -> [[key, words]]

export const tellKeys = (view, keys) => told.set(view, keys);

export function start() {
  const here = () => document.querySelector("main:not([hidden])").id;
  function open() {
    const keys = told.get(here());
    if (!keys || $("keyhelp").open) return;
    $("keylist").replaceChildren(...keys.flatMap(([key, words]) => [element("dt", element("kbd", key)), element("dd", words)]));
    $("keyhelp").showModal();
  }
  addEventListener("hashchange", () => $("keyhelp").close()); // another view has other keys
  $("keyclose").addEventListener("click", () => $("keyhelp").close());
  for (const button of document.querySelectorAll(".keys")) button.addEventListener("click", open);
  addEventListener("keydown", (event) => {
    if (event.key !== "?" || event.ctrlKey || event.altKey || event.metaKey || event.target.closest?.("input, select, textarea")) return;
    event.preventDefault();
    open();
  });
}

export const DRAWING_KEYS = [
  ["r", tr("draw a rectangle")], ["o", tr("draw an outline")], ["v", tr("look: move and zoom the picture")], ["z", tr("undo")], ["x", tr("clear the drawing")],
  [tr("Enter"), tr("in the picture: lay down a rectangle")], ["← ↑ → ↓", tr("in the picture: move the rectangle, with Shift its size")], [tr("Delete"), tr("remove the chosen shape")], ["Esc", tr("end drawing")],
  ["+ − 0", tr("in the picture: zoom in, out, show all")],
];
export const SAYING_KEYS = [["g", tr("go to the button for a good part; Enter says it")], ["b", tr("go to the button for a defective part; Enter says it")], ["m", tr("name the defect")], ["t", tr("write a note")], ["s", tr("show what was said before")]];
