// A person with the token says whether a verdict was right. Name and token are asked once in a browser's session.
import { ask, element } from "./dom.js";
import { tr } from "./tr.js";

export const SAID = {
  CONFIRMED: tr("rightly rejected"), OVERTURNED: tr("was a good part"), PASS_CONFIRMED: tr("rightly passed"), ESCAPE: tr("was a defective part: an escape"),
};
const BUTTONS = {
  CONFIRMED: tr("Rightly rejected"), OVERTURNED: tr("Was a good part"), PASS_CONFIRMED: tr("Rightly passed"), ESCAPE: tr("Was a defective part: an escape"),
};
const kept = (name) => sessionStorage.getItem(name) || "";

// A form with a button for each thing that can be said of the part. `done` is called when it is in the journal.
export function sayForm(part, done = () => {}) {
  if (!part.can_review) return element("p", tr("Reviewing is switched off: line.toml names no token file."));
  if (!part.can_say.length) return element("p", tr("Only parts that passed or were rejected are reviewed."));
  const by = element("input", [], { required: "", maxlength: "64", autocomplete: "name", name: "by" });
  const token = element("input", [], { required: "", type: "password", autocomplete: "off", name: "token" });
  const note = element("input", [], { maxlength: "500", name: "note" });
  by.value = kept("name"); token.value = kept("token");
  const who = element("span", [element("label", [tr("Your name"), by]), element("label", [tr("Token"), token])], { class: "row" });
  const as = element("span"), change = element("button", tr("Somebody else"), { type: "button", class: "quiet" });
  const showWho = (isShown) => {
    who.hidden = !isShown; as.hidden = change.hidden = isShown;
    as.textContent = tr("You are {name}.", { name: by.value });
  };
  change.addEventListener("click", () => { showWho(true); by.focus(); });
  showWho(!by.value || !token.value);
  const said = element("span", [], { role: "status" });
  const buttons = part.can_say.map((says) => element("button", BUTTONS[says] ?? says, { value: says, class: says }));
  const form = element("form", [...buttons, element("label", [tr("Note"), note]), as, change, who, said], { class: "row say" });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const says = event.submitter?.value;
    if (!says) return; // Enter in a field says nothing: a button does
    buttons.forEach((button) => { button.disabled = true; });
    try {
      await ask(`api/parts/${part.part_seq}/review`, {
        method: "POST", headers: { "Content-Type": "application/json", Authorization: `Bearer ${token.value}` },
        body: JSON.stringify({ says, by: by.value, note: note.value }),
      });
      sessionStorage.setItem("name", by.value); sessionStorage.setItem("token", token.value);
      showWho(false);
      said.textContent = tr("In the journal: {said}.", { said: SAID[says] ?? says });
      done(says);
    } catch (err) {
      said.textContent = err.message;
      if (err.status === 401) { sessionStorage.removeItem("token"); showWho(true); token.focus(); }
    }
    buttons.forEach((button) => { button.disabled = false; });
  });
  return form;
}
