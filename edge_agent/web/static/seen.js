// The picture of the newest part: by the camera that decided, or one that a person chose, with the outline of what is wrong.
import { $, age, ask, element, pictureOf } from "./dom.js";
import { showImageCondition, showShares, verdictOf } from "./judged.js";
import { newest } from "./line.js";
import { newestAge } from "./standing.js";
import { tr } from "./tr.js";

const LAYERS = ["image", "heat", "contour"];
let chosen = null; // a camera's number; null: the one that decided
let shown = { part: null, camera: null, hasOutline: false };

export function startPictures() {
  $("opacity").addEventListener("input", showHeat);
  $("explain").addEventListener("click", () => {
    const isOpen = $("explain").getAttribute("aria-expanded") !== "true";
    $("explain").setAttribute("aria-expanded", isOpen);
    $("judged").classList.toggle("explained", isOpen);
  });
  document.addEventListener("visibilitychange", () => pictures.next());
  showHeat();
}

function showHeat() {
  $("heat").style.opacity = $("opacity").value / 100;
  $("scale").hidden = $("opacity").value === "0";
}

const isSame = (part, other) => part.part_seq === other?.part_seq && part.decided_utc === other.decided_utc;
const cameraOf = (part) => (part.camera_numbers.includes(chosen) ? chosen : part.decided_by);

export function showSeen() {
  const part = newest();
  if (!part) return;
  const camera = cameraOf(part), seen = part.seen_by.find((one) => one.camera === camera);
  showShares($("shares"), seen?.shares ?? {}, seen?.score, seen?.limit);
  showImageCondition($("imagecondition"), seen?.condition ?? {});
  $("explain").hidden = !$("shares").children.length && !$("imagecondition").children.length;
  showCameras(part);
  if (!isSame(part, shown.part) || camera !== shown.camera) pictures.want(part, camera);
  caption();
}

function showCameras(part) {
  $("cameras").hidden = part.camera_numbers.length < 2;
  const wanted = [null, ...part.camera_numbers];
  if ($("cameras").dataset.of !== String(wanted)) {
    $("cameras").dataset.of = String(wanted);
    $("cameras").replaceChildren(...wanted.map((number) => {
      const button = element("button", number === null ? tr("The one that decided") : `${tr("Camera")} ${number}`, { type: "button" });
      button.addEventListener("click", () => { chosen = number; showSeen(); });
      return button;
    }));
  }
  [...$("cameras").children].forEach((button, index) => button.setAttribute("aria-pressed", wanted[index] === chosen));
}

/** What the picture is of: always its own part and camera, however old they are. */
export function caption() {
  const { part, camera } = shown;
  $("stack").classList.toggle("waits", part !== null && !isSame(part, newest()));
  if (!part) return;
  const named = part.camera_numbers.length > 1 ? `${tr("Camera")} ${camera}${camera === part.decided_by ? `, ${tr("which decided")}` : ""}` : "";
  const old = newestAge() !== null && isSame(part, newest()) ? tr("{age} ago", { age: age(newestAge()) }) : "";
  const outline = shown.hasOutline && part.verdict !== "PASS" ? tr("White line: over the limit. Ring: the worst place.") : "";
  const text = [`${tr("Part")} ${part.part_seq}: ${verdictOf(part)}`, named, old].filter(Boolean).join(" · ");
  if ($("caption").textContent !== text) $("caption").textContent = text;
  if ($("outline").textContent !== outline) $("outline").textContent = outline;
}

// One question at a time, and always about the newest part: a slow picture never makes a queue.
export const pictures = {
  wanted: null, asked: "", isBusy: false,
  want(part, camera) {
    const address = pictureOf(part, camera, "");
    if (this.asked === address) return;
    this.asked = address;
    this.wanted = [part, camera];
    this.next();
  },
  async next() {
    if (this.isBusy || !this.wanted || document.hidden || $("live").hidden) return;
    const [part, camera] = this.wanted;
    this.wanted = null;
    this.isBusy = true;
    try { await showPictures(part, camera); } finally { this.isBusy = false; }
    this.next();
  },
};

async function showPictures(part, camera) {
  let found = { pictures: [], problem: tr("No picture") };
  if (camera !== null) {
    for (let tries = 0; tries < 4; tries += 1) {
      try { found = await ask(`api/parts/${part.part_seq}/cameras/${camera}`); break; } catch (err) {
        found.problem = err.message;
        if (pictures.wanted) return;
        await new Promise((done) => setTimeout(done, 400)); // the image goes into the archive after the verdict
      }
    }
  }
  await Promise.all(LAYERS.map((name) => swap($(name), found.pictures.includes(name) ? pictureOf(part, camera, name) : "")));
  $("image").alt = tr("Image of part {number}, camera {camera}", { number: part.part_seq, camera });
  $("nopicture").textContent = found.pictures.includes("image") ? "" : found.problem;
  shown = { part, camera, hasOutline: found.pictures.includes("contour") };
  caption();
}

async function swap(image, address) {
  if (address) await new Promise((done) => { image.onload = image.onerror = done; image.src = address; });
  else image.removeAttribute("src");
  image.hidden = !address;
}
