// A picture that can be looked at from near: wheel, two fingers, buttons, keys. Its layers lie one on the other.
import { element } from "./dom.js";
import { tr } from "./tr.js";

const MOST = 12, STEP = 1.4;

export function zoomable(layers, label) {
  const sheet = element("div", layers, { class: "sheet" });
  const frame = element("div", sheet, { class: "zoom", tabindex: "0", role: "group", "aria-label": `${label}. ${tr("Keys: + and - zoom, arrows move, 0 shows all.")}` });
  const fingers = new Map();
  let scale = 1, x = 0, y = 0;

  function set(wanted, about = { x: frame.clientWidth / 2, y: frame.clientHeight / 2 }) {
    const next = Math.min(MOST, Math.max(1, wanted));
    move(about.x - (about.x - x) * (next / scale), about.y - (about.y - y) * (next / scale), next);
  }
  function move(toX, toY, next = scale) {
    scale = next;
    x = Math.min(0, Math.max(frame.clientWidth * (1 - scale), toX));
    y = Math.min(0, Math.max(frame.clientHeight * (1 - scale), toY));
    sheet.style.transform = `translate(${x}px, ${y}px) scale(${scale})`;
    sheet.style.setProperty("--zoom", scale); // what is drawn on it stays as thin
    frame.dataset.scale = scale.toFixed(2);
    frame.classList.toggle("near", scale > 1);
  }
  const at = (event) => { const box = frame.getBoundingClientRect(); return { x: event.clientX - box.left, y: event.clientY - box.top }; };

  frame.addEventListener("wheel", (event) => {
    if (event.deltaY > 0 && scale === 1) return; // nothing to zoom out of: the page scrolls
    event.preventDefault();
    set(scale * Math.exp(-event.deltaY / 400), at(event));
  }, { passive: false });
  frame.addEventListener("pointerdown", (event) => { fingers.set(event.pointerId, at(event)); frame.setPointerCapture(event.pointerId); });
  for (const name of ["pointerup", "pointercancel"]) frame.addEventListener(name, (event) => fingers.delete(event.pointerId));
  frame.addEventListener("pointermove", (event) => {
    const before = fingers.get(event.pointerId);
    if (!before || frame.dataset.pen) return;
    const now = at(event), other = [...fingers].find(([id]) => id !== event.pointerId)?.[1];
    fingers.set(event.pointerId, now);
    if (!other) { if (!frame.dataset.tool) move(x + now.x - before.x, y + now.y - before.y); return; } // one finger draws
    const distance = (point) => Math.hypot(point.x - other.x, point.y - other.y) || 1;
    set(scale * distance(now) / distance(before), { x: (now.x + other.x) / 2, y: (now.y + other.y) / 2 });
  });
  const far = 60, keys = {
    "+": () => set(scale * STEP), "=": () => set(scale * STEP), "-": () => set(scale / STEP), 0: () => set(1),
    ArrowLeft: () => move(x + far, y), ArrowRight: () => move(x - far, y), ArrowUp: () => move(x, y + far), ArrowDown: () => move(x, y - far),
  };
  frame.addEventListener("keydown", (event) => {
    if (!(event.key in keys) || event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.key.startsWith("Arrow") && scale === 1) return; // nothing to move
    event.preventDefault();
    keys[event.key]();
  });
  const button = (sign, name, act) => {
    const made = element("button", sign, { type: "button", class: "quiet", title: name, "aria-label": name });
    made.addEventListener("click", act);
    return made;
  };
  return element("div", [frame, element("div", [
    button("+", tr("Zoom in"), keys["+"]), button("−", tr("Zoom out"), keys["-"]), button(tr("Whole picture"), tr("Whole picture"), keys[0]),
  ], { class: "row zoombuttons" })], { class: "zoomed" });
}
