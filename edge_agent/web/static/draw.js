// Drawing a defect on a picture: by mouse, pen and finger, or with the keys alone. It works at any zoom.
import { element } from "./dom.js";
import { layer, mark } from "./marks.js";
import { boxOf, inside, isPlace, MOST_SHAPES, moved, outline, rectangle, resized } from "./shapes.js";
import { tr } from "./tr.js";

const LEAST_SCREEN_PX = 4;
const NAMES = { rectangle: tr("Rectangle"), outline: tr("Outline") };

// `zoomed` is what zoom.js made; `size` is that of the camera's image in pixels.
export function drawable(zoomed, pad, camera, size) {
  const frame = zoomed.querySelector(".zoom"), over = layer(size, "own");
  const said = element("span", [], { role: "status", class: "drawsaid" }), list = element("ul", [], { class: "shapelist" });
  let tool = "", chosen = -1, begun = null;
  frame.querySelector(".sheet").append(over);

  const shapes = () => pad.shapes(camera);
  // How the layer lies on the screen, zoomed or not: as large as it can be with the image's proportions.
  function placed() {
    const box = over.getBoundingClientRect(), scale = Math.min(box.width / size.width, box.height / size.height);
    return { scale, left: box.left + (box.width - size.width * scale) / 2, top: box.top + (box.height - size.height * scale) / 2 };
  }
  function at(event) {
    const { scale, left, top } = placed();
    return inside({ x: (event.clientX - left) / scale, y: (event.clientY - top) / scale }, size);
  }
  const words = (shape, index) => {
    const box = boxOf(shape);
    return tr("{kind} {number}: {width} × {height} px at {x}, {y}", { kind: NAMES[shape.kind], number: index + 1, width: box.width, height: box.height, x: box.left, y: box.top });
  };
  const tell = () => { said.textContent = shapes()[chosen] ? words(shapes()[chosen], chosen) : ""; };

  function show() {
    const drawn = shapes().map((shape, index) => mark(shape, index === chosen ? "chosen" : ""));
    if (begun && begun.points.length > 1) drawn.push(mark(shapeOf(begun), "chosen"));
    over.replaceChildren(...drawn);
    list.replaceChildren(...shapes().map((shape, index) => {
      const choose = element("button", words(shape, index), { type: "button", class: "quiet", "aria-pressed": String(index === chosen) });
      const remove = element("button", "×", { type: "button", class: "quiet", "aria-label": tr("Remove {kind} {number}", { kind: NAMES[shape.kind], number: index + 1 }) });
      choose.addEventListener("click", () => { chosen = index; show(); tell(); frame.focus(); });
      remove.addEventListener("click", () => drop(index));
      return element("li", [choose, remove]);
    }));
    undo.disabled = !pad.before.length;
    clear.disabled = !pad.hasShapes();
  }
  const shapeOf = ({ kind, points }) => (kind === "rectangle" ? rectangle(points[0], points.at(-1)) : { kind, points: points.map(({ x, y }) => [x, y]) });
  function drop(index) {
    chosen = -1;
    pad.draw(camera, size, shapes().filter((_, one) => one !== index));
    frame.focus();
  }
  function add(shape) {
    if (shapes().length >= MOST_SHAPES) { said.textContent = tr("A drawing has at most {number} shapes.", { number: MOST_SHAPES }); return; }
    chosen = shapes().length;
    pad.draw(camera, size, [...shapes(), shape]);
    tell();
  }
  function change(shape, isOneMove) {
    pad.draw(camera, size, shapes().map((one, index) => (index === chosen ? shape : one)), { isOneMove });
    tell();
  }

  // --- mouse, pen, finger ---
  const fingers = new Set();
  frame.addEventListener("pointerdown", (event) => {
    const isPen = event.pointerType === "pen";
    if (!isPen) fingers.add(event.pointerId);
    if (!tool || event.button !== 0 || (begun?.isPen && !isPen)) return; // the hand that holds the pen lies on the screen
    // A second finger means to zoom: what the first one began is not meant.
    begun = isPen || fingers.size === 1 ? { kind: tool, id: event.pointerId, points: [at(event)], isPen } : null;
    if (isPen) frame.dataset.pen = "draws";
    show();
  });
  frame.addEventListener("pointermove", (event) => {
    if (begun?.id !== event.pointerId) return;
    begun.points.push(at(event));
    show();
  });
  frame.addEventListener("pointerup", (event) => {
    fingers.delete(event.pointerId);
    if (begun?.id !== event.pointerId) return;
    delete frame.dataset.pen;
    const { kind, points } = begun, shape = kind === "rectangle" ? shapeOf(begun) : outline(points);
    begun = null;
    if (points.length > 1 && isPlace(shape, Math.max(1, LEAST_SCREEN_PX / placed().scale))) add(shape);
    else said.textContent = tr("Hold and draw over the place.");
    show();
  });
  frame.addEventListener("pointercancel", (event) => {
    fingers.delete(event.pointerId);
    if (begun?.isPen && begun.id !== event.pointerId) return;
    delete frame.dataset.pen;
    begun = null;
    show();
  });

  // --- keys: Enter lays down a rectangle, arrows move it, with Shift they size it ---
  function middle() {
    const { scale, left, top } = placed(), box = frame.getBoundingClientRect();
    const x = (box.left + box.width / 2 - left) / scale, y = (box.top + box.height / 2 - top) / scale;
    const wide = box.width / scale / 8, high = box.height / scale / 8;
    return rectangle(inside({ x: x - wide, y: y - high }, size), inside({ x: x + wide, y: y + high }, size));
  }
  const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  let lastMove = "";
  frame.addEventListener("keydown", (event) => {
    if (event.altKey || event.metaKey) return;
    const shape = shapes()[chosen], arrow = ARROWS[event.key], isUndo = event.ctrlKey && event.key === "z";
    const act = {
      Enter: tool === "rectangle" ? () => add(middle()) : null,
      Delete: shape && (() => drop(chosen)),
      Backspace: shape && (() => drop(chosen)),
      Escape: tool || shape ? () => { chosen = -1; take(""); } : null,
    }[event.key] ?? (isUndo ? () => pad.undo() : null) ?? (shape && arrow && !event.ctrlKey ? () => {
      const step = Math.max(1, Math.round(Math.max(size.width, size.height) / 100 / Number(frame.dataset.scale ?? 1)));
      const way = `${chosen}${event.shiftKey}`;
      change((event.shiftKey ? resized : moved)(shape, arrow[0] * step, arrow[1] * step, size), lastMove === way);
      lastMove = way;
    } : null);
    if (!arrow) lastMove = "";
    if (!act || (event.ctrlKey && !isUndo)) return;
    event.preventDefault();
    event.stopImmediatePropagation(); // the picture under it stays where it is
    act();
  }, { capture: true });

  // --- the tools ---
  const button = (label, key, act, attributes = {}) => {
    const made = element("button", [label, " ", element("kbd", key)], { type: "button", class: "quiet", ...attributes });
    made.addEventListener("click", act);
    return made;
  };
  const tools = { "": button(tr("Look"), "v", () => take("")), rectangle: button(NAMES.rectangle, "r", () => take("rectangle")), outline: button(NAMES.outline, "o", () => take("outline")) };
  const undo = button(tr("Undo"), "z", () => pad.undo()), clear = button(tr("Clear"), "x", () => { chosen = -1; pad.clear(); });
  function take(wanted) {
    tool = wanted;
    if (tool) frame.dataset.tool = tool; else delete frame.dataset.tool;
    for (const [name, made] of Object.entries(tools)) made.setAttribute("aria-pressed", String(name === tool));
    said.textContent = { rectangle: tr("Draw over the place, or press Enter for a rectangle and move it with the arrows, with Shift its size."), outline: tr("Draw around the place in one line.") }[tool] ?? "";
    frame.focus({ preventScroll: true });
    show();
  }
  for (const [name, made] of Object.entries(tools)) made.setAttribute("aria-pressed", String(name === ""));
  pad.on(() => { if (chosen >= shapes().length) chosen = -1; if (over.isConnected) show(); });
  zoomed.querySelector(".zoombuttons").after(element("div", [element("b", tr("Draw")), ...Object.values(tools), undo, clear], { class: "row drawing", role: "group", "aria-label": tr("Draw the defect") }), said, list);
  zoomed.drawing = { take, undo: () => pad.undo(), clear: () => clear.click() };
  show();
}

// For the keys of a view: the drawing that is on the screen, the first of several.
export const drawingIn = (view) => [...document.querySelectorAll(`#${view} .zoomed`)].find((one) => one.drawing)?.drawing;
