// Parts as rows with a small picture: the same in the history and under what was found.
import { ask, clock, element, number, pictureOf, reason } from "./dom.js";
import { SAID } from "./say.js";
import { tr } from "./tr.js";

const TRIES = 6;
const COLUMNS = [
  tr("Picture"), tr("Part"), tr("Time"), tr("Verdict"), tr("Reason"), tr("Score"), tr("Limit"), tr("Count"), tr("Program"), tr("Camera"), tr("Review"),
];

export function table(parts) {
  const head = element("thead", element("tr", COLUMNS.map((name) => element("th", name, { scope: "col" }))));
  return element("table", [head, element("tbody", parts.map(row))], { class: "parts" });
}

function row(part) {
  const address = `#part/${part.part_seq}`;
  const cells = [
    element("a", thumbnail(part), { href: address, tabindex: "-1", "aria-hidden": "true" }), element("a", String(part.part_seq), { href: address }), clock(part.decided_utc),
    verdict(part), reason(part), number(part.score), number(part.limit), String(part.count ?? "–"), String(part.program ?? "–"),
    String(part.decided_by ?? "–"), reviewed(part),
  ];
  return element("tr", cells.map((cell, index) => element("td", cell, { "data-name": COLUMNS[index] })));
}

const reviewed = ({ review, standing, kept_back: isKeptBack }) => {
  if (standing === "DISPUTED") return SAID.DISPUTED;
  return review ? `${SAID[review.says] ?? review.says} (${review.by})` : isKeptBack ? tr("read by one person") : "";
};

// A PASS that did not reach the output in time was a REJECT for the gate.
export function verdict(part) {
  const word = element("b", part.verdict, { class: part.verdict });
  return part.held_back ? [word, element("small", ` ${tr("held back: REJECT")}`)] : [word];
}

// Loaded when it comes into view. One that is not there says so; a server that is busy is asked again.
export function thumbnail(part) {
  const camera = part.decided_by ?? part.camera_numbers[0];
  const frame = element("span", [], { class: "thumbnail" });
  if (camera === undefined || camera === null) {
    frame.append(tr("no image came"));
    return frame;
  }
  const address = pictureOf(part, camera, "thumbnail");
  const image = element("img", [], { loading: "lazy", alt: tr("Picture of part {number}", { number: part.part_seq }), width: "96", height: "72" });
  let tries = 0;
  image.addEventListener("error", async () => {
    tries += 1;
    let status = 0;
    try { await ask(address); } catch (err) { status = err.status ?? 0; }
    if (status === 404 || tries >= TRIES) frame.replaceChildren(status === 404 ? tr("no longer in the archive") : tr("no picture"));
    else setTimeout(() => { image.src = `${address}&again=${tries}`; }, 700 * tries);
  });
  image.src = address;
  frame.append(image);
  return frame;
}
