// One part with all that the journal holds of it, and its pictures.
import { $, ask, clock, element, exact, facts, number, reason } from "./dom.js";
import { showImageCondition, showShares } from "./judged.js";
import { SAID, reviewForm } from "./review.js";
import { tr } from "./tr.js";

const PICTURES = {
  image: tr("Image"), heat: tr("Heat map: 1 is the limit"), reference: tr("Reference"), aligned: tr("Image, laid on the reference"),
  reconstruction: tr("Reconstruction"), map: tr("Anomaly map"),
};

export function show(seq) {
  showPart(seq || "");
}

async function showPart(seq) {
  $("parttitle").textContent = `${tr("Part")} ${seq}`;
  const body = $("partbody");
  body.replaceChildren(element("p", tr("Searching…")));
  try {
    const part = await ask(`api/parts/${encodeURIComponent(seq)}`);
    const summary = element("section", [element("p", element("b", part.verdict, { class: part.verdict })), facts([
      [tr("Reason"), `${reason(part)} (${part.reason})`], ["", part.detail], [tr("Time"), `${clock(part.decided_utc)} (${part.decided_utc})`],
      [tr("Count"), part.count], [tr("Program"), part.program], [tr("Score"), exact(part.score)], [tr("Limit"), exact(part.limit)],
      [tr("Bundle"), part.bundle_id], [tr("The controller's judgement"), part.controller_judgement], [tr("On the wire"), part.published],
      [tr("Time to verdict"), `${part.latency_ms} ms`],
      ...part.reviews.map((review) => [tr("Review"), `${SAID[review.says] ?? review.says} · ${review.by} · ${clock(review.at_utc)} ${review.note}`]),
    ])]);
    body.replaceChildren(summary, ...(part.verdict === "REJECT" ? [reviewForm(part)] : []));
    for (const camera of part.cameras) body.append(await showCamera(part, camera));
  } catch (err) { body.replaceChildren(element("p", err.message)); }
}

async function showCamera(part, camera) {
  const lies = camera.alignment, section = element("section", element("h2", `${tr("Camera")} ${camera.camera}`));
  const address = `api/parts/${part.part_seq}/cameras/${camera.camera}`;
  let found = { pictures: [], problem: "", is_same_score: true };
  try { found = await ask(address); } catch (err) { found.problem = err.message; }
  if (found.problem) section.append(element("p", found.problem));
  if (!found.is_same_score) section.append(element("p", tr("Judged again, the score is another one than the journal's."), { role: "alert" }));
  const grid = element("div", [], { class: "pictures" });
  for (const name of ["image", "heat", "reference", "aligned", "reconstruction", "map"]) {
    if (!found.pictures.includes(name)) continue;
    const stack = element("div", [], { class: "stack" });
    if (name === "heat") stack.append(element("img", [], { src: `${address}/image`, alt: "" }));
    stack.append(element("img", [], { src: `${address}/${name}`, alt: PICTURES[name] }));
    grid.append(element("figure", [stack, element("figcaption", PICTURES[name])]));
  }
  const shares = element("dl", [], { class: "shares" });
  showShares(shares, camera.shares, camera.limit);
  const condition = element("dl", [], { class: "shares condition" });
  showImageCondition(condition, camera.condition);
  section.append(grid, shares, condition, facts([
    [tr("Score"), exact(camera.score)], [tr("Limit"), exact(camera.limit)], ["", camera.detail],
    [tr("Lies"), lies && `x ${number(lies.shift_x_px, 2)} px, y ${number(lies.shift_y_px, 2)} px, ${number(lies.angle_deg, 2)}°, × ${number(lies.scale, 4)}, ${number(lies.quality, 4)}`],
    [tr("Stages"), Object.entries(camera.timings_ms).map(([stage, ms]) => `${stage} ${ms.toFixed(1)} ms`).join(" · ")],
    [tr("Name of the image"), camera.image_name], [tr("SHA-256 of the image"), camera.image_sha256],
  ]));
  return section;
}
