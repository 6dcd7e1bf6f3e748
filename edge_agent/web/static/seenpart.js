// What one camera saw of a part: the image with the outline of what is over the limit, and all other pictures.
import { ask, element, pictureOf } from "./dom.js";
import { drawable } from "./draw.js";
import { layer, showOthers } from "./marks.js";
import { tr } from "./tr.js";
import { zoomable } from "./zoom.js";

const OTHERS = {
  reference: tr("Reference"), aligned: tr("Image, laid on the reference"), reconstruction: tr("Reconstruction"), map: tr("Anomaly map"),
};

// With a pad, a person can draw on the image.
export async function seenPictures(part, camera, pad = null) {
  let found = { pictures: [], problem: "", is_same_score: true };
  try { found = await ask(`api/parts/${part.part_seq}/cameras/${camera}`); } catch (err) { found.problem = err.message; }
  const made = [];
  if (found.problem) made.push(element("p", found.problem, { class: "problem" }));
  if (!found.is_same_score) made.push(element("p", tr("Judged again, the score is another one than the journal's."), { role: "alert" }));
  const picture = (name, alt) => element("img", [], { src: pictureOf(part, camera, name), alt, draggable: "false" });
  if (found.pictures.includes("image")) made.push(whole(part, camera, found, picture, pad));
  const others = Object.keys(OTHERS).filter((name) => found.pictures.includes(name));
  if (others.length) {
    const figures = others.map((name) => element("figure", [element("div", picture(name, OTHERS[name]), { class: "stack" }), element("figcaption", OTHERS[name])]));
    const more = element("details", element("summary", tr("More pictures")), { class: "more" });
    more.addEventListener("toggle", () => { if (more.children.length < 2) more.append(element("div", figures, { class: "pictures" })); });
    made.push(more);
  }
  return made;
}

function whole(part, camera, { pictures, size_px: sizePx }, picture, pad) {
  const label = tr("Picture of part {number}, camera {camera}", { number: part.part_seq, camera });
  const layers = [picture("image", label)], switches = [];
  for (const [name, words, isOn] of [["heat", tr("Heat colours"), false], ["contour", tr("Outline of what is over the limit"), true]]) {
    if (!pictures.includes(name)) continue;
    const layer = picture(name, "");
    const box = element("input", [], { type: "checkbox" });
    box.checked = isOn;
    layer.hidden = !isOn;
    box.addEventListener("change", () => { layer.hidden = !box.checked; });
    layers.push(layer);
    switches.push(element("label", [box, words]));
  }
  if (!sizePx) return withSwitches(zoomable(layers, label), switches);
  const size = { width: sizePx[0], height: sizePx[1] }, over = layer(size, "others"), box = element("input", [], { type: "checkbox" });
  const shown = element("label", [box, tr("Drawn by people")]);
  over.dataset.camera = camera;
  over.showOthers = (reviews) => { shown.hidden = !showOthers(over, camera, reviews); };
  box.checked = true;
  box.addEventListener("change", () => { over.classList.toggle("off", !box.checked); });
  over.showOthers(part.reviews ?? []);
  const made = withSwitches(zoomable([...layers, over], label), [...switches, shown]);
  if (pad) drawable(made, pad, camera, size);
  return made;
}

function withSwitches(made, switches) {
  made.querySelector(".zoombuttons").append(...switches);
  return made;
}
