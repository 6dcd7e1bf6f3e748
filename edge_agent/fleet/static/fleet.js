// The wall: one tile a line, as the server tells it. Nothing here can be clicked that changes anything.
import { tr, trn } from "./tr.js";
import { LANGUAGE } from "./words.js";

const SILENT_AFTER_MS = 6000;
const $ = (id) => document.getElementById(id);
const lines = new Map();
let names = [], heardAt = performance.now(), toldAt = "";

const element = (name, className, ...inside) => {
  const made = document.createElement(name);
  if (className) made.className = className;
  made.append(...inside.filter((one) => one !== null));
  return made;
};
const number = (value) => value.toLocaleString(LANGUAGE);
const share = (of, all) => (all ? (of / all).toLocaleString(LANGUAGE, { style: "percent", maximumFractionDigits: 1 }) : "–");
const timeOfDay = (utc) => new Date(utc).toLocaleTimeString(LANGUAGE);

function ago(seconds) {
  if (seconds < 90) return trn("{n} s ago", "{n} s ago", Math.round(seconds));
  if (seconds < 5400) return trn("{n} min ago", "{n} min ago", Math.round(seconds / 60));
  return trn("{n} h ago", "{n} h ago", Math.round(seconds / 3600));
}

function duration(seconds) {
  if (Math.abs(seconds) < 90) return trn("{n} s", "{n} s", seconds);
  return Math.abs(seconds) < 5400 ? trn("{n} min", "{n} min", Math.round(seconds / 60)) : trn("{n} h", "{n} h", Math.round(seconds / 3600));
}

const ALERTS = {
  bypass: () => tr("A person answers for the parts"),
  not_ready: () => tr("Not ready"),
  degraded: () => tr("Degraded"),
  refused: () => tr("Offered bundle not taken"),
  aside: () => tr("Results set aside"),
  behind: () => tr("Results waiting"),
  shadow: () => tr("Candidate does not judge"),
};
const STAGES = { shadow: () => tr("in shadow on the first line"), one: () => tr("in use on the first line"), all: () => tr("on all lines") };
const STATUS = { running: () => tr("running"), passed: () => tr("passed: a person says go on"), stopped: () => tr("STOPPED"), done: () => tr("done") };

function kindOf(line) {
  if (line.stale || !line.state) return "silent";
  return line.state === "READY" ? "ready" : "fault";
}

function alertsOf(line) {
  const found = line.alerts.map(({ kind, what }) => [ALERTS[kind]?.() ?? kind, what]);
  if (line.drift) found.push([tr("Drift"), line.drift]);
  if (line.clock_off_s) found.push([tr("Clock is off"), duration(line.clock_off_s)]);
  return found;
}

function pill(line) {
  const kind = kindOf(line);
  const word = kind === "silent" ? tr("silent") : line.state;
  return element("span", `pill ${kind}`, word);
}

function figure(words, value, isBad = false) {
  return element("div", isBad ? "bad" : "", element("dt", "", words), element("dd", "", value));
}

function bundleWords(one) {
  const next = one.chosen_id && one.chosen_id !== one.bundle_id ? ` → ${one.chosen_id.slice(0, 8)}` : "";
  return `P${one.program}/${one.camera}: ${(one.bundle_id || "–").slice(0, 8)}${next}`;
}

function drawn(line) {
  const alerts = alertsOf(line), kind = kindOf(line), judged = line.passed + line.rejected;
  const marks = [line.simulated ? tr("simulated") : "", line.dry_run ? tr("dry run") : ""].filter(Boolean);
  const tile = element("li", `line ${kind}${alerts.length && kind === "ready" ? " alert" : ""}`);
  tile.append(
    element("div", "head", element("h2", "", line.line), pill(line)),
    element("dl", "numbers",
      figure(tr("parts in 24 h"), number(line.parts)),
      figure(tr("rejected"), share(line.rejected, judged)),
      figure(tr("false rejects"), number(line.overturned), line.overturned > 0),
      figure(tr("escapes"), number(line.escaped), line.escaped > 0)),
    element("p", "of", [...line.bundles.slice(0, 2).map(bundleWords), line.bundles.length > 2 ? `+${line.bundles.length - 2}` : "", line.version, ...marks].filter(Boolean).join(" · ")));
  if (line.shadow) {
    tile.append(element("p", "of", tr("candidate {id}: {parts} parts, rejects {more} more, passes {less} more", {
      id: line.shadow.bundle_id.slice(0, 8), parts: number(line.shadow.parts), more: number(line.shadow.to_reject), less: number(line.shadow.to_pass),
    })));
  }
  if (alerts.length) {
    tile.append(element("ul", "alerts", ...alerts.slice(0, 4).map(([name, what]) => element("li", "", element("b", "", name), `: ${what}`))));
  }
  tile.append(element("p", "of heard", ""));
  return tile;
}

function showHeard() {
  const since = (performance.now() - heardAt) / 1000;
  for (const { line, tile, at } of lines.values()) {
    const heard = tile.querySelector(".heard");
    const age = line.heard_ago_s === null ? null : line.heard_ago_s + (performance.now() - at) / 1000;
    const words = age === null ? tr("never heard") : line.stale ? tr("heard {ago}", { ago: ago(age) }) : trn("{n} part a minute", "{n} parts a minute", line.per_minute);
    if (heard.textContent !== words) heard.textContent = words;
  }
  const isLost = since * 1000 > SILENT_AFTER_MS;
  $("lost").hidden = !isLost;
  if (isLost) $("lost").textContent = tr("The fleet's server is silent: what stands here is of {time}.", { time: timeOfDay(toldAt || Date.now()) });
}

function showSums() {
  const all = [...lines.values()].map(({ line }) => line), of = (kind) => all.filter((line) => kindOf(line) === kind).length;
  const alerts = all.filter((line) => alertsOf(line).length).length;
  const sums = [
    ["ready", trn("{n} ready", "{n} ready", of("ready"))], ["fault", trn("{n} not ready", "{n} not ready", of("fault"))],
    ["silent", trn("{n} silent", "{n} silent", of("silent"))], ["alert", trn("{n} with alerts", "{n} with alerts", alerts)],
  ].filter(([kind], at) => kind === "ready" || [0, of("fault"), of("silent"), alerts][at]);
  $("sums").replaceChildren(...sums.map(([kind, words]) => element("li", `pill ${kind}`, words)));
}

function showPromotions(found) {
  $("promotions").hidden = !found.length;
  $("promotions").replaceChildren(...found.map((one) => element("li", "",
    element("span", `pill ${one.status}`, STATUS[one.status]?.() ?? one.status),
    element("strong", "", tr("bundle {id} of {part}, program {program}, camera {camera}", { id: one.bundle_id.slice(0, 8), part: one.part, program: one.program, camera: one.camera })),
    element("span", "", STAGES[one.stage]?.() ?? one.stage),
    element("span", "", one.words),
    element("small", "", tr("by {by}, {time}", { by: one.by, time: new Date(one.begun_utc).toLocaleString(LANGUAGE) })))));
}

function take(told) {
  heardAt = performance.now();
  toldAt = told.utc;
  names = told.names;
  for (const line of told.lines ?? []) {
    const tile = drawn(line);
    lines.get(line.line)?.tile.replaceWith(tile);
    lines.set(line.line, { line, tile, at: performance.now() });
  }
  for (const name of [...lines.keys()].filter((one) => !names.includes(one))) {
    lines.get(name).tile.remove();
    lines.delete(name);
  }
  const shown = [...lines.keys()].sort((a, b) => a.localeCompare(b, LANGUAGE, { numeric: true })).map((name) => lines.get(name).tile);
  if (shown.some((tile, at) => $("lines").children[at] !== tile)) $("lines").replaceChildren(...shown);
  $("none").hidden = shown.length > 0;
  if (told.promotions) showPromotions(told.promotions);
  $("clock").textContent = timeOfDay(told.utc);
  showSums();
  showHeard();
}

$("promotions").hidden = true;
$("language").addEventListener("change", (event) => {
  document.cookie = `language=${event.target.value}; path=/; max-age=31536000; samesite=strict`;
  // To read waits until the browser has written: else the page may be asked for without the new cookie.
  if (!document.cookie.includes("language=")) console.warn("this browser keeps no cookies");
  location.reload();
});
const stream = new EventSource("events");
stream.addEventListener("fleet", (event) => take(JSON.parse(event.data)));
setInterval(showHeard, 1000);
