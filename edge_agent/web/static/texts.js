// Every text of the page. Another language is another table with the same keys; what it lacks stays English.
export const TEXTS = {
  en: {
    simulated: "SIMULATED: no real part, no real output",
    degraded: "DEGRADED, still judging",
    dryRun: "DRY RUN: parts are judged, the output stays REJECT",
    lost: "No word from the agent. What stands here is old.",
    live: "Live", history: "History", review: "Review", shift: "This shift", links: "Links", scores: "Scores",
    heat: "Heat map", limit: "Limit", from: "From", to: "To", verdict: "Verdict", any: "any", program: "Program",
    score: "Score", show: "Show", older: "Older", bundle: "Bundle", newlimit: "Limit, if it were",
    part: "Part", count: "Count", time: "Time", reason: "Reason", latency: "Time to verdict", published: "On the wire",
    reviewed: "Review", yield: "Yield", rate: "a minute", since: "since", nopicture: "No picture", waiting: "Waiting for a part",
    parts: "parts", nothing: "No such part.", searching: "Searching…", camera: "Camera", alignment: "Lies",
    timings: "Stages", hash: "SHA-256 of the image", name: "Name of the image", controller: "The controller's judgement",
    image: "Image", aligned: "Image, laid on the reference", reference: "Reference", reconstruction: "Reconstruction",
    map: "Anomaly map", heatmap: "Heat map: 1 is the limit", differs: "Judged again, the score is another one than the journal's.",
    confirm: "Rightly rejected", overturn: "Was a good part", yourname: "Your name", token: "Token", note: "Note",
    readonly: "Reviewing is switched off: line.toml names no token file.", saved: "In the journal.",
    reviewhelp: "Moves the limit on paper: what would have become of the parts since then that the score decided. Nothing on the line changes.",
    decided_by_score: "decided by the score", passes_to_reject: "passed, would be rejected",
    rejects_to_pass: "rejected, would pass", of_them_confirmed: "of them rightly rejected: would be missed",
    of_them_overturned: "of them good: no longer rejected", reviewed_total: "reviewed since then", false_rejects: "of them good parts",
    CONFIRMED: "rightly rejected", OVERTURNED: "was a good part",
    state: { READY: "READY", BUSY: "READY", FAULT: "FAULT: nothing passes", SILENT: "SILENT" },
    condition: {
      controller: "Controller", program: "Program", output: "Remote I/O", images: "Images", journal: "Journal",
      inference: "Inspection", request: "Program that the PLC wants", rejects: "Reject chute",
      mode: "Mode switch", golden: "Golden parts", clock: "Clock", archive: "Archive",
    },
    words: {
      OK: "No deviation",
      SCORE: "Looks different from the good parts",
      ALIGN: "Could not be laid on the reference",
      NOT_FINITE: "The score could not be computed",
      CONTROLLER_NG: "The controller's own tools say NG",
      IMAGE_BROKEN: "The image is not complete",
      IMAGE_SIZE: "The image has another size than the reference",
      NO_IMAGE: "The image never came",
      NO_RESULT: "The controller's result never came",
      NO_ANSWER: "Neither image nor result came",
      LATE: "Not judged in time",
      OVERRUN: "The next part came before the verdict",
      STALE: "May belong to an earlier part",
      DUPLICATE: "A count that was already judged",
      PROGRAM: "No bundle for the controller's program",
      NOT_READY: "The line was not ready",
      OUTPUT: "The output could not be written",
      JOURNAL: "The journal could not be written",
      INTERNAL: "The inspection failed: see the log",
      BYPASS: "A person answered for this part, not the inspection",
    },
  },
};
const wanted = (new URLSearchParams(location.search).get("lang") || navigator.language || "en").slice(0, 2);
const table = TEXTS[wanted] || TEXTS.en;
export const LANGUAGE = table === TEXTS.en ? "en" : wanted;
export const text = (key, group) =>
  group ? (table[group] || {})[key] || TEXTS.en[group][key] || key : table[key] || TEXTS.en[key] || key;
