// The operator's page. Whatever comes from outside is set as text, never as markup.
import { LANGUAGE, text } from "/texts.js";

const $ = (id) => document.getElementById(id);
const KEPT = 300;
const parts = new Map(); // part_seq -> part, in the order of their numbers
let hello = { can_review: false, programs: [], deadline_ms: 0 };
let shownSeq = 0;
let lastHeard = 0;

function element(name, content, attributes = {}) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  for (const child of [content ?? []].flat()) made.append(child);
  return made;
}
const number = (value, digits = 3) => (value === null || value === undefined ? "–" : Number(value).toFixed(digits));
const exact = (value) => (value === null || value === undefined ? value : Number(value).toPrecision(6)); // the journal has all digits
const clock = (utc) => new Date(utc).toLocaleString(LANGUAGE === "en" ? undefined : LANGUAGE);
const words = (part) => text(part.reason, "words");

function age(seconds) {
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  return `${Math.floor(seconds / 86400)} d`;
}

async function ask(address, options) {
  const answer = await fetch(address, options);
  if (answer.ok) return answer.json();
  const said = await answer.text();
  let message = said;
  try { message = JSON.parse(said).error || said; } catch { /* plain text */ }
  throw Object.assign(new Error(message || `${answer.status}`), { status: answer.status });
}

// --- live ----------------------------------------------------------------------------------------------

function follow() {
  const stream = new EventSource("/events");
  stream.addEventListener("hello", (event) => {
    hello = JSON.parse(event.data);
    $("line").textContent = hello.line;
    document.title = `${hello.line} · edge-agent`;
  });
  stream.addEventListener("state", (event) => { lastHeard = performance.now(); showState(JSON.parse(event.data)); });
  stream.addEventListener("parts", (event) => {
    for (const part of JSON.parse(event.data)) parts.set(part.part_seq, part);
    while (parts.size > KEPT) parts.delete(Math.min(...parts.keys()));
    showNewest();
  });
  setInterval(() => lost(performance.now() - lastHeard > 3500), 500);
}

function lost(isLost) {
  $("lost").hidden = !isLost;
  document.body.classList.toggle("old", isLost);
}

function showState(state) {
  $("simulated").hidden = !state.simulated;
  $("dryrun").hidden = !state.dry_run;
  const degraded = Object.values(state.degraded).join("; ");
  $("degraded").hidden = !degraded;
  $("degraded").textContent = `${text("degraded")}: ${degraded}`;
  $("bypass").hidden = !state.bypass;
  $("bypass").textContent = state.bypass;
  $("state").textContent = text(state.line, "state");
  $("state").className = `pill ${["READY", "BUSY"].includes(state.line) ? "ready" : "bad"}`;
  $("archive").textContent = state.archive;
  $("clock").textContent = new Date(state.utc).toLocaleTimeString();
  lost(state.line === "SILENT");
  const counters = state.counters;
  const share = counters.yield === null ? "–" : `${(100 * counters.yield).toFixed(1)} %`;
  pairs($("counters"), [
    ["PASS", counters.PASS], ["REJECT", counters.REJECT], ["FAULT", counters.FAULT], [text("yield"), share],
    [text("rate"), counters.per_minute.toFixed(1)], [text("since"), new Date(counters.since_utc).toLocaleTimeString([], { timeStyle: "short" })],
  ]);
  $("links").replaceChildren(...Object.entries(state.conditions).map(([name, condition]) => element("li", [
    element("span", text(name, "condition")), element("time", age(condition.for_s)),
    ...(condition.why_not ? [element("small", condition.why_not)] : []),
  ], condition.why_not ? { class: "bad" } : {})));
}

function pairs(list, items) {
  list.replaceChildren(...items.flatMap(([name, value]) => [element("dt", name), element("dd", String(value))]));
}

function showNewest() {
  const newest = parts.get(Math.max(...parts.keys()));
  drawStrip();
  if (!newest) return;
  $("verdict").className = `verdict ${newest.verdict}${newest.reason === "BYPASS" ? " person" : ""}`;
  $("word").textContent = newest.verdict;
  $("why").textContent = words(newest);
  $("detail").textContent = newest.detail;
  $("which").textContent = `${text("part")} ${newest.part_seq}` + (newest.count === null ? "" : ` · ${text("count")} ${newest.count}`) + ` · ${Math.round(newest.latency_ms)} ms`;
  const ratio = newest.score !== null && newest.limit ? newest.score / newest.limit : null;
  $("gauge").hidden = ratio === null;
  $("gauge").firstElementChild.style.width = `${Math.min(100, 50 * (ratio ?? 0))}%`;
  $("scored").textContent = ratio === null ? "" : `${text("score")} ${number(newest.score)} · ${text("limit")} ${number(newest.limit)}`;
  showShares($("shares"), newest.shares, newest.limit);
  showImageCondition($("imagecondition"), newest.condition);
  if (newest.part_seq !== shownSeq) {
    shownSeq = newest.part_seq;
    pictures.want(newest);
  }
}

// One question at a time, and always about the newest part: a slow picture never makes a queue.
const pictures = {
  wanted: null, isBusy: false,
  want(part) { this.wanted = part; this.next(); },
  async next() {
    if (this.isBusy || !this.wanted || document.hidden || location.hash.startsWith("#part")) return;
    const part = this.wanted;
    this.wanted = null;
    this.isBusy = true;
    try { await showPictures(part); } finally { this.isBusy = false; }
    this.next();
  },
};
document.addEventListener("visibilitychange", () => pictures.next());

async function showPictures(part) {
  const camera = part.camera_numbers[0];
  let found = { pictures: [], problem: text("nopicture") };
  if (camera !== undefined) {
    for (let tries = 0; tries < 4; tries += 1) {
      try { found = await ask(`/api/parts/${part.part_seq}/cameras/${camera}`); break; } catch (err) {
        found.problem = err.message;
        if (pictures.wanted) return;
        await new Promise((done) => setTimeout(done, 400)); // the image goes into the archive after the verdict
      }
    }
  }
  const address = (name) => `/api/parts/${part.part_seq}/cameras/${camera}/${name}`;
  for (const [id, name] of [["image", "image"], ["heat", "heat"]]) {
    if (found.pictures.includes(name)) await swap($(id), address(name));
    else $(id).removeAttribute("src");
    $(id).hidden = !found.pictures.includes(name);
  }
  $("nopicture").textContent = found.pictures.includes("image") ? "" : found.problem;
}

function swap(image, address) {
  return new Promise((done) => { image.onload = image.onerror = done; image.src = address; });
}

function showShares(list, shares, limit) {
  list.replaceChildren(...Object.entries(shares).flatMap(([name, share]) => {
    const bar = element("i");
    bar.style.width = `${limit ? Math.max(0, Math.min(100, (50 * share) / limit)) : 0}%`;
    return [element("dt", name), element("dd", bar, { class: limit && share >= limit ? "bar over" : "bar" }), element("dd", number(share))];
  }));
}

// The middle of a bar is as usual, either end is where parts are rejected.
function showImageCondition(list, condition) {
  list.title = text("imagecondition");
  list.replaceChildren(...Object.entries(condition).flatMap(([name, share]) => {
    const bar = element("i");
    bar.style.width = `${Math.max(0, Math.min(100, 50 + 50 * share))}%`;
    return [element("dt", text(name, "quantity")), element("dd", bar, { class: Math.abs(share) >= 0.7 ? "bar over" : "bar" }), element("dd", `${Math.round(100 * share)} %`)];
  }));
}

function drawStrip() {
  const canvas = $("strip");
  const { clientWidth: width, clientHeight: height } = canvas;
  if (!width) return;
  const zoom = devicePixelRatio || 1;
  canvas.width = width * zoom; canvas.height = height * zoom;
  const ink = canvas.getContext("2d"), style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(`--${name}`).trim();
  ink.scale(zoom, zoom);
  const step = 7, most = Math.floor(width / step), newest = [...parts.values()].sort((a, b) => a.part_seq - b.part_seq).slice(-most);
  const y = (ratio) => height - 4 - (height - 8) * Math.min(2, Math.max(0, ratio)) / 2;
  newest.forEach((part, index) => {
    const x = width - (newest.length - index) * step;
    ink.fillStyle = colour({ PASS: "pass", REJECT: "reject" }[part.verdict] || "fault");
    if (part.score === null || !part.limit) { ink.fillRect(x, 2, step - 2, height - 4); return; }
    const top = y(part.score / part.limit);
    ink.fillRect(x, top, step - 2, height - top);
  });
  ink.strokeStyle = colour("ink"); ink.lineWidth = 2; ink.setLineDash([6, 4]);
  ink.beginPath(); ink.moveTo(0, y(1)); ink.lineTo(width, y(1)); ink.stroke();
}
addEventListener("resize", drawStrip);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawStrip);

// --- history -------------------------------------------------------------------------------------------

const COLUMNS = ["part", "count", "time", "verdict", "reason", "score", "limit", "program", "latency", "reviewed"];
let before = null;

function row(part) {
  const link = element("a", String(part.part_seq), { href: `#part/${part.part_seq}` });
  return element("tr", [
    link, String(part.count ?? "–"), clock(part.decided_utc), element("b", part.verdict, { class: part.verdict }), words(part),
    number(part.score), number(part.limit), String(part.program ?? "–"), `${Math.round(part.latency_ms)} ms`,
    part.review ? `${text(part.review.says)} (${part.review.by})` : "",
  ].map((cell) => element("td", cell)));
}

async function search(isMore) {
  const asked = new URLSearchParams({ most: "100" });
  for (const [name, value] of new FormData($("filter"))) {
    if (value) asked.set(name, ["since", "until"].includes(name) ? new Date(value).toISOString() : value);
  }
  if (isMore && before) asked.set("before", before);
  $("found").textContent = text("searching");
  try {
    const found = await ask(`/api/parts?${asked}`);
    const rows = found.parts.map(row);
    if (isMore) $("rows").append(...rows); else $("rows").replaceChildren(...rows);
    before = found.before;
    $("older").hidden = !before;
    $("found").textContent = $("rows").children.length ? `${$("rows").children.length} ${text("parts")}` : text("nothing");
  } catch (err) { $("found").textContent = err.message; }
}

// --- one part ------------------------------------------------------------------------------------------

function facts(items) {
  const list = element("dl", [], { class: "facts" });
  pairs(list, items.filter(([, value]) => value !== null && value !== undefined && value !== ""));
  return list;
}

async function showPart(seq) {
  $("parttitle").textContent = `${text("part")} ${seq}`;
  const body = $("partbody");
  body.replaceChildren(element("p", text("searching")));
  try {
    const part = await ask(`/api/parts/${encodeURIComponent(seq)}`);
    const summary = element("section", [element("p", element("b", part.verdict, { class: part.verdict })), facts([
      [text("reason"), `${words(part)} (${part.reason})`], ["", part.detail], [text("time"), `${clock(part.decided_utc)} (${part.decided_utc})`],
      [text("count"), part.count], [text("program"), part.program], [text("score"), exact(part.score)], [text("limit"), exact(part.limit)],
      [text("bundle"), part.bundle_id], [text("controller"), part.controller_judgement], [text("published"), part.published],
      [text("latency"), `${part.latency_ms} ms`],
      ...part.reviews.map((review) => [text("reviewed"), `${text(review.says)} · ${review.by} · ${clock(review.at_utc)} ${review.note}`]),
    ])]);
    body.replaceChildren(summary, ...(part.verdict === "REJECT" ? [reviewForm(part)] : []));
    for (const camera of part.cameras) body.append(await showCamera(part, camera));
  } catch (err) { body.replaceChildren(element("p", err.message)); }
}

async function showCamera(part, camera) {
  const lies = camera.alignment, section = element("section", element("h2", `${text("camera")} ${camera.camera}`));
  const address = `/api/parts/${part.part_seq}/cameras/${camera.camera}`;
  let found = { pictures: [], problem: "", is_same_score: true };
  try { found = await ask(address); } catch (err) { found.problem = err.message; }
  if (found.problem) section.append(element("p", found.problem));
  if (!found.is_same_score) section.append(element("p", text("differs"), { role: "alert" }));
  const grid = element("div", [], { class: "pictures" });
  for (const name of ["image", "heat", "reference", "aligned", "reconstruction", "map"]) {
    if (!found.pictures.includes(name)) continue;
    const stack = element("div", [], { class: "stack" });
    if (name === "heat") stack.append(element("img", [], { src: `${address}/image`, alt: "" }));
    stack.append(element("img", [], { src: `${address}/${name}`, alt: text(name === "heat" ? "heatmap" : name) }));
    grid.append(element("figure", [stack, element("figcaption", text(name === "heat" ? "heatmap" : name))]));
  }
  const shares = element("dl", [], { class: "shares" });
  showShares(shares, camera.shares, camera.limit);
  const condition = element("dl", [], { class: "shares condition" });
  showImageCondition(condition, camera.condition);
  section.append(grid, shares, condition, facts([
    [text("score"), exact(camera.score)], [text("limit"), exact(camera.limit)], ["", camera.detail],
    [text("alignment"), lies && `x ${number(lies.shift_x_px, 2)} px, y ${number(lies.shift_y_px, 2)} px, ${number(lies.angle_deg, 2)}°, × ${number(lies.scale, 4)}, ${number(lies.quality, 4)}`],
    [text("timings"), Object.entries(camera.timings_ms).map(([stage, ms]) => `${stage} ${ms.toFixed(1)} ms`).join(" · ")],
    [text("name"), camera.image_name], [text("hash"), camera.image_sha256],
  ]));
  return section;
}

function reviewForm(part) {
  if (!hello.can_review) return element("section", text("readonly"));
  const kept = (name) => sessionStorage.getItem(name) || "";
  const by = element("input", [], { required: "", maxlength: "64", autocomplete: "name" });
  const token = element("input", [], { required: "", type: "password", autocomplete: "off" });
  const note = element("input", [], { maxlength: "500" });
  by.value = kept("name"); token.value = kept("token");
  const said = element("span");
  const button = (says, words) => element("button", text(words), { value: says });
  const form = element("form", [
    element("label", [text("yourname"), by]), element("label", [text("token"), token]), element("label", [text("note"), note]),
    button("CONFIRMED", "confirm"), button("OVERTURNED", "overturn"), said,
  ], { class: "row" });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      await ask(`/api/parts/${part.part_seq}/review`, {
        method: "POST", headers: { "Content-Type": "application/json", Authorization: `Bearer ${token.value}` },
        body: JSON.stringify({ says: event.submitter.value, by: by.value, note: note.value }),
      });
      sessionStorage.setItem("name", by.value); sessionStorage.setItem("token", token.value);
      said.textContent = text("saved");
    } catch (err) { said.textContent = err.message; }
  });
  return element("section", form);
}

// --- the limit, on paper -------------------------------------------------------------------------------

function prepareReview() {
  const bundles = [...new Map([...parts.values()].filter((part) => part.bundle_id).map((part) => [part.bundle_id, part.limit]))];
  const select = $("moved").elements.bundle;
  select.replaceChildren(...bundles.map(([id, limit]) => element("option", `${id.slice(0, 16)} (${text("limit")} ${number(limit)})`, { value: id })));
  if (!$("moved").elements.limit.value && bundles.length) $("moved").elements.limit.value = bundles[0][1];
  if (!$("moved").elements.since.value) {
    const day = new Date(Date.now() - 86400000 - new Date().getTimezoneOffset() * 60000);
    $("moved").elements.since.value = day.toISOString().slice(0, 16);
  }
}

async function moveLimit() {
  const form = $("moved").elements;
  const asked = new URLSearchParams({ bundle: form.bundle.value, limit: form.limit.value, since: new Date(form.since.value).toISOString() });
  try {
    const told = await ask(`/api/reviewed?${asked}`);
    const keys = ["decided_by_score", "passes_to_reject", "rejects_to_pass", "of_them_confirmed", "of_them_overturned"];
    pairs($("movedresult"), [...keys.map((key) => [text(key), told[key]]), [text("reviewed_total"), told.reviewed], [text("false_rejects"), told.false_rejects]]);
  } catch (err) { pairs($("movedresult"), [["", err.message]]); }
}

// --- where we are --------------------------------------------------------------------------------------

function go() {
  const [view, seq] = (location.hash.slice(1) || "live").split("/");
  for (const main of document.querySelectorAll(".view")) main.hidden = main.id !== view;
  for (const link of document.querySelectorAll("nav a")) {
    if (link.hash === `#${view}`) link.setAttribute("aria-current", "page"); else link.removeAttribute("aria-current");
  }
  if (view === "live") { drawStrip(); pictures.next(); }
  if (view === "history" && !$("rows").children.length) search(false);
  if (view === "part") showPart(seq || "");
  if (view === "review") prepareReview();
}

document.documentElement.lang = LANGUAGE;
for (const named of document.querySelectorAll("[data-text]")) named.textContent = text(named.dataset.text);
$("columns").replaceChildren(...COLUMNS.map((name) => element("th", text(name))));
$("why").textContent = text("waiting");
$("opacity").addEventListener("input", () => { $("heat").style.opacity = $("opacity").value / 100; });
$("heat").style.opacity = 0.8;
$("filter").addEventListener("submit", (event) => { event.preventDefault(); search(false); });
$("older").addEventListener("click", () => search(true));
$("moved").addEventListener("submit", (event) => { event.preventDefault(); moveLimit(); });
addEventListener("hashchange", go);
lastHeard = performance.now();
follow();
go();
