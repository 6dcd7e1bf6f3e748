// A person says whether a verdict was right, names the defect and draws it: a user who is signed in; on a line without
// users whoever has the token.
import { ask, element } from "./dom.js";
import { hasUsers, known, learn, may, passwordField, signedAs, user, wantsPassword, whyNot } from "./person.js";
import { tr } from "./tr.js";

export const SAID = {
  CONFIRMED: tr("rightly rejected"), OVERTURNED: tr("was a good part"), PASS_CONFIRMED: tr("rightly passed"), ESCAPE: tr("was a defective part: an escape"),
  DISPUTED: tr("people differ"),
};
const BUTTONS = {
  CONFIRMED: tr("Rightly rejected"), OVERTURNED: tr("Was a good part"), PASS_CONFIRMED: tr("Rightly passed"), ESCAPE: tr("Was a defective part: an escape"),
};
const IS_BAD = new Set(["CONFIRMED", "ESCAPE"]);
const CHIPS_MOST = 6;
const kept = (name) => sessionStorage.getItem(name) || "";

// A form with a button for each thing that can be said of the part. `done` is called when it is in the journal,
// `again` where somebody else was first. What was drawn and written is in `pad`.
export function sayForm(part, pad, done = () => {}, again = () => {}) {
  const place = element("div");
  known().then(() => place.replaceChildren(formOf(part, pad, done, again)));
  return place;
}

function formOf(part, pad, done, again) {
  if (!part.can_review) return element("p", tr("Reviewing is switched off: this line has no users, and line.toml names no token file."));
  if (!part.can_say.length) return element("p", tr("Only parts that passed or were rejected are reviewed."));
  const why = hasUsers() ? whyNot("review") : null;
  if (why) return why;
  if (part.standing === "DISPUTED" && hasUsers() && !part.has_spoken && !may("decide")) return element("p", tr("Somebody of quality assurance or an engineer decides."));
  const signer = hasUsers() ? userSigns() : tokenSigns();
  const note = element("input", [], { maxlength: "500", name: "note" }), defect = element("input", [], { maxlength: "60", name: "defect", autocomplete: "off" });
  const said = element("span", [], { role: "status" }), chips = element("span", [], { class: "row chips" });
  const buttons = part.can_say.map((says) => element("button", BUTTONS[says] ?? says, { value: says, class: `${says} ${IS_BAD.has(says) ? "bad" : "good"}` }));
  const form = element("form", [
    element("div", [element("label", [tr("Name of the defect"), defect]), chips], { class: "row naming" }), element("label", [tr("Note"), note], { class: "noting" }),
    ...signer.fields, element("div", buttons, { class: "row saying" }), said,
  ], { class: "row say" });
  const fill = () => {
    if (defect.value !== pad.state.defect) defect.value = pad.state.defect;
    if (note.value !== pad.state.note) note.value = pad.state.note;
    for (const chip of chips.children) chip.setAttribute("aria-pressed", String(chip.textContent === pad.state.defect));
  };
  defect.addEventListener("input", () => pad.write({ defect: defect.value }));
  note.addEventListener("input", () => pad.write({ note: note.value }));
  pad.on(fill);
  offerNames(chips, pad).then(fill);
  fill();
  if (pad.wasKept) said.textContent = [tr("What you drew and wrote before is kept."), BUTTONS[pad.state.says] && tr("Press “{words}” to send it.", { words: BUTTONS[pad.state.says] })].filter(Boolean).join(" ");
  const again_ = buttons.find((button) => button.value === pad.state.says);
  if (pad.wasKept && again_) setTimeout(() => again_.focus());
  let seen = part.reviews?.length ?? 0; // by how many reviews this person knows of, a second one at the same part is told
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const says = event.submitter?.value;
    if (!says) return; // Enter in a field says nothing: a button does
    if (!IS_BAD.has(says) && (pad.state.defect.trim() || pad.hasShapes())) { said.textContent = tr("A good part has no defect: clear its name and the drawing first."); return; }
    buttons.forEach((button) => { button.disabled = true; });
    try {
      const answer = await ask(`api/parts/${part.part_seq}/review`, {
        method: "POST", headers: { "Content-Type": "application/json", ...signer.headers() },
        body: JSON.stringify({ says, note: pad.state.note, seen, defect: pad.state.defect, drawings: pad.drawings(), ...signer.body() }),
      });
      seen += 1;
      signer.worked();
      pad.sent();
      said.textContent = tr("In the journal: {said}.", { said: SAID[says] ?? says });
      if (answer.standing === "DISPUTED") said.append(" ", tr("People differ over this part now: somebody who has not spoken on it decides."));
      done(says);
    } catch (err) {
      said.textContent = err.message;
      if (err.status === 401) {
        if (!pad.isEmpty()) { pad.write({ says }); said.append(" · ", tr("What you drew and wrote is kept.")); }
        signer.refused(said);
      }
      if (err.status === 409) seen = (await again()) ?? (await seenNow(part.part_seq)) ?? seen;
    }
    buttons.forEach((button) => { button.disabled = false; });
  });
  return form;
}

// A name is chosen with a finger, or typed: those of line.toml and those that were used before.
async function offerNames(chips, pad) {
  let names = [];
  try { ({ names } = await ask("api/defects")); } catch { return; } // it can be typed all the same
  document.getElementById("defectnames").replaceChildren(...names.map((name) => element("option", [], { value: name })));
  chips.parentElement.querySelector("input").setAttribute("list", "defectnames");
  chips.replaceChildren(...names.slice(0, CHIPS_MOST).map((name) => {
    const chip = element("button", name, { type: "button", class: "quiet" });
    chip.addEventListener("click", () => pad.write({ defect: pad.state.defect === name ? "" : name }));
    return chip;
  }));
}

async function seenNow(seq) {
  try { return (await ask(`api/parts/${seq}`)).reviews.length; } catch { return null; }
}

// Somebody who is signed in: the name goes along, so that nobody signs for whoever sits at another window by now.
function userSigns() {
  const name = user().name, [password, label] = passwordField();
  const asked = wantsPassword("review");
  return {
    fields: [element("span", signedAs()), ...(asked ? [label] : [])],
    headers: () => ({}),
    body: () => ({ by: name, ...(asked ? { password: password.value } : {}) }),
    worked: () => { password.value = ""; },
    refused: async (said) => {
      password.value = "";
      await learn();
      const why = whyNot("review");
      if (why) said.append(" ", why); else password.focus();
    },
  };
}

// Whoever has the token. Name and token are asked once in a browser's session.
function tokenSigns() {
  const by = element("input", [], { required: "", maxlength: "64", autocomplete: "name", name: "by" });
  const token = element("input", [], { required: "", type: "password", autocomplete: "off", name: "token" });
  by.value = kept("name"); token.value = kept("token");
  const who = element("span", [element("label", [tr("Your name"), by]), element("label", [tr("Token"), token])], { class: "row who" });
  const as = element("span"), change = element("button", tr("Somebody else"), { type: "button", class: "quiet" });
  const showWho = (isShown) => {
    who.hidden = !isShown; as.hidden = change.hidden = isShown;
    as.textContent = tr("You are {name}.", { name: by.value });
  };
  change.addEventListener("click", () => { showWho(true); by.focus(); });
  showWho(!by.value || !token.value);
  return {
    fields: [as, change, who],
    headers: () => ({ Authorization: `Bearer ${token.value}` }),
    body: () => ({ by: by.value }),
    worked: () => { sessionStorage.setItem("name", by.value); sessionStorage.setItem("token", token.value); showWho(false); },
    refused: () => { sessionStorage.removeItem("token"); showWho(true); token.focus(); },
  };
}
