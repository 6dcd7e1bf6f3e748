// A person who may makes the limit that was looked at the limit: says first what it rests on, and when it counts.
import { ask, element, facts, number } from "./dom.js";
import { hasUsers, known, learn, passwordField, signedAs, user, wantsPassword, whyNot } from "./person.js";
import { tr } from "./tr.js";

const percent = (share) => `${(100 * share).toFixed(1)} %`;
let section = element("section");

// Put the offer behind `after`; `asked` names the bundle, the limit and since when, as an address does.
export function offerLimit(after, asked) {
  section.remove();
  section = element("section");
  const button = element("button", tr("What this limit rests on, and make it the limit"), { type: "button", class: "quiet", id: "offer" });
  button.addEventListener("click", () => { button.remove(); show(section, asked); });
  section.append(button);
  after.after(section);
}

async function show(shown, asked) {
  let told;
  await known();
  try { told = await ask(`api/limit?${asked}`); } catch (err) { shown.append(err.message); return; }
  shown.append(element("h2", tr("Make {limit} the limit", { limit: number(told.to) })), facts([
    [tr("Limit now"), number(told.limit)],
    [tr("Good parts of the calibration that score as much"), tr("{above} of {n}", { above: told.good_parts_above, n: told.good_parts })],
    [tr("Good parts rejected, expected at most"), percent(told.expected_false_rejects)],
    [tr("Good parts rejected, with 95 % confidence fewer than"), percent(told.false_reject_bound_95)],
    [tr("Good parts that people know, still rejected"), tr("{above} of {n}", { above: told.good_parts_known_rejected, n: told.good_parts_known })],
    [tr("Known defects that would pass"), defects(told)],
  ]), ...told.notes.map((note) => element("p", note)));
  shown.append(element("p", tr("Parts are judged by it from the agent's next start on; until then all are judged by the limit of before.")));
  shown.append(told.can_move ? (hasUsers() && whyNot("limit")) || form(told) : element("p", tr("Nobody can move a limit here: this line has no users, and line.toml names no token file.")));
}

function defects(told) {
  const named = told.known_defects_that_pass.map((one) => `${one.image ?? tr("Part {number}", { number: one.part_seq })} (${number(one.score)})`);
  if (named.length) return named.join(", ");
  return told.known_defect_images + told.known_defect_parts ? tr("none") : tr("none is known: nothing says what this limit lets through");
}

function form(told) {
  const why = element("input", [], { required: "", maxlength: "200", name: "why" });
  const although = element("input", [], { required: "", type: "checkbox", name: "although" });
  const button = element("button", tr("Make this the limit"));
  const said = element("span", [], { role: "status" });
  const signer = hasUsers() ? userSigns() : tokenSigns();
  const fields = [...signer.fields, element("label", [tr("Why"), why]), ...signer.proof];
  if (told.refusal) fields.push(element("label", [although, tr("The known defects named above shall pass")]));
  const made = element("form", [...fields, button, said], { class: "row", id: "relimit" });
  made.addEventListener("submit", async (event) => {
    event.preventDefault();
    button.disabled = true;
    said.textContent = tr("The new bundle is made and proven; that takes a while.");
    try {
      const done = await ask("api/limit", {
        method: "POST", headers: { "Content-Type": "application/json", ...signer.headers() },
        body: JSON.stringify({
          bundle: told.bundle_id, limit: told.to, why: why.value, told: told.defects_digest, ...signer.body(),
          although_known_defects_pass: Boolean(told.refusal) && although.checked,
        }),
      });
      signer.worked();
      said.textContent = tr("Bundle {id} is activated and in the journal. It judges from the agent's next start on.", { id: done.bundle_id.slice(0, 12) });
    } catch (err) {
      said.textContent = err.message;
      if (err.status === 401) signer.refused(said);
      button.disabled = false;
    }
  });
  return made;
}

function userSigns() {
  const name = user().name, [password, label] = passwordField(), isAsked = wantsPassword("limit");
  return {
    fields: [element("span", signedAs())],
    proof: isAsked ? [label] : [],
    headers: () => ({}),
    body: () => ({ by: name, ...(isAsked ? { password: password.value } : {}) }),
    worked: () => { password.value = ""; },
    refused: async (said) => {
      password.value = "";
      await learn();
      const why = whyNot("limit");
      if (why) said.append(" ", why);
    },
  };
}

function tokenSigns() {
  const kept = (name) => sessionStorage.getItem(name) || "";
  const by = element("input", [], { required: "", maxlength: "64", autocomplete: "name", name: "by" });
  const token = element("input", [], { required: "", type: "password", autocomplete: "off", name: "token" });
  by.value = kept("name"); token.value = kept("token");
  return {
    fields: [element("label", [tr("Your name"), by])],
    proof: [element("label", [tr("Token"), token])],
    headers: () => ({ Authorization: `Bearer ${token.value}` }),
    body: () => ({ by: by.value }),
    worked: () => { sessionStorage.setItem("name", by.value); sessionStorage.setItem("token", token.value); },
    refused: () => { token.focus(); },
  };
}
