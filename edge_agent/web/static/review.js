// A person with the token says what a rejected part was.
import { ask, element } from "./dom.js";
import { line } from "./line.js";
import { tr } from "./tr.js";

export const SAID = { CONFIRMED: tr("rightly rejected"), OVERTURNED: tr("was a good part") };

export function reviewForm(part) {
  if (!line.can_review) return element("section", tr("Reviewing is switched off: line.toml names no token file."));
  const kept = (name) => sessionStorage.getItem(name) || "";
  const by = element("input", [], { required: "", maxlength: "64", autocomplete: "name" });
  const token = element("input", [], { required: "", type: "password", autocomplete: "off" });
  const note = element("input", [], { maxlength: "500" });
  by.value = kept("name"); token.value = kept("token");
  const said = element("span");
  const button = (says, words) => element("button", words, { value: says });
  const form = element("form", [
    element("label", [tr("Your name"), by]), element("label", [tr("Token"), token]), element("label", [tr("Note"), note]),
    button("CONFIRMED", tr("Rightly rejected")), button("OVERTURNED", tr("Was a good part")), said,
  ], { class: "row" });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      await ask(`api/parts/${part.part_seq}/review`, {
        method: "POST", headers: { "Content-Type": "application/json", Authorization: `Bearer ${token.value}` },
        body: JSON.stringify({ says: event.submitter.value, by: by.value, note: note.value }),
      });
      sessionStorage.setItem("name", by.value); sessionStorage.setItem("token", token.value);
      said.textContent = tr("In the journal.");
    } catch (err) { said.textContent = err.message; }
  });
  return element("section", form);
}
