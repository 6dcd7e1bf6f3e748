// A person says whether a verdict was right: a user who is signed in; on a line without users whoever has the token.
import { ask, element } from "./dom.js";
import { hasUsers, known, learn, passwordField, signedAs, user, wantsPassword, whyNot } from "./person.js";
import { tr } from "./tr.js";

export const SAID = {
  CONFIRMED: tr("rightly rejected"), OVERTURNED: tr("was a good part"), PASS_CONFIRMED: tr("rightly passed"), ESCAPE: tr("was a defective part: an escape"),
};
const BUTTONS = {
  CONFIRMED: tr("Rightly rejected"), OVERTURNED: tr("Was a good part"), PASS_CONFIRMED: tr("Rightly passed"), ESCAPE: tr("Was a defective part: an escape"),
};
const kept = (name) => sessionStorage.getItem(name) || "";

// A form with a button for each thing that can be said of the part. `done` is called when it is in the journal,
// `again` where somebody else was first.
export function sayForm(part, done = () => {}, again = () => {}) {
  const place = element("div");
  known().then(() => place.replaceChildren(formOf(part, done, again)));
  return place;
}

function formOf(part, done, again) {
  if (!part.can_review) return element("p", tr("Reviewing is switched off: this line has no users, and line.toml names no token file."));
  if (!part.can_say.length) return element("p", tr("Only parts that passed or were rejected are reviewed."));
  const why = hasUsers() ? whyNot("review") : null;
  if (why) return why;
  const signer = hasUsers() ? userSigns() : tokenSigns();
  const note = element("input", [], { maxlength: "500", name: "note" });
  const said = element("span", [], { role: "status" });
  const buttons = part.can_say.map((says) => element("button", BUTTONS[says] ?? says, { value: says, class: says }));
  const form = element("form", [...buttons, element("label", [tr("Note"), note]), ...signer.fields, said], { class: "row say" });
  let seen = part.reviews?.length ?? 0; // by how many reviews this person knows of, a second one at the same part is told
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const says = event.submitter?.value;
    if (!says) return; // Enter in a field says nothing: a button does
    buttons.forEach((button) => { button.disabled = true; });
    try {
      await ask(`api/parts/${part.part_seq}/review`, {
        method: "POST", headers: { "Content-Type": "application/json", ...signer.headers() },
        body: JSON.stringify({ says, note: note.value, seen, ...signer.body() }),
      });
      seen += 1;
      signer.worked();
      said.textContent = tr("In the journal: {said}.", { said: SAID[says] ?? says });
      done(says);
    } catch (err) {
      said.textContent = err.message;
      if (err.status === 401) signer.refused(said);
      if (err.status === 409) seen = (await again()) ?? (await seenNow(part.part_seq)) ?? seen;
    }
    buttons.forEach((button) => { button.disabled = false; });
  });
  return form;
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
  const who = element("span", [element("label", [tr("Your name"), by]), element("label", [tr("Token"), token])], { class: "row" });
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
