// What a study or a challenge asks the operator for: which part to put in; of a study never what it is known to be.
import { tr } from "./tr.js";

export function studyWords({ part, number, total, again, what }) {
  if (what === "challenge") return tr("Challenge: put sample {part} in, and nothing else ({number} of {total})", { part, number, total });
  const asked = tr("Attribute agreement study: put part {part} in, and nothing else ({number} of {total})", { part, number, total });
  return again ? `${asked}; ${tr("nobody could look at it: put it in once more")}` : asked;
}
