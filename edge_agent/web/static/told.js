// What people said of a part and how it stands among them, above the form in which the next one says something.
import { clock, element } from "./dom.js";
import { hasUsers } from "./person.js";
import { SAID } from "./say.js";
import { tr } from "./tr.js";

// How the part stands among several people, above the form.
export function standingOf(part, showAll) {
  if (part.kept_back) {
    const show = element("button", [tr("Show what was said"), " ", element("kbd", "s")], { type: "button", class: "quiet showsaid" });
    show.addEventListener("click", showAll);
    return [element("p", [tr("Somebody has read this part. You see what was said once you have said yours."), " ", show], { class: "whyhere" })];
  }
  if (part.standing === "DISPUTED") {
    // Without users the page does not know whether it is somebody's second word.
    const who = part.may_decide && hasUsers() ? tr("Your word decides.") : part.has_spoken || !hasUsers() ? tr("You may change your own word; somebody who has not spoken on it decides.") : "";
    return [element("p", [element("strong", tr("People differ over this part.")), ` ${who}`], { class: "whyhere" })];
  }
  return part.settled_by ? [element("p", tr("People differed, and {name} decided.", { name: part.settled_by }), { class: "whyhere" })] : [];
}

export const wordsOn = (part) => part.reviews.filter((review) => !review.kept_back).map((review) => element("p", [
  `${SAID[review.says] ?? review.says} · ${review.who} · ${clock(review.at_utc)}`, ...(review.defect ? [" · ", element("strong", review.defect)] : []), ` ${review.note}`,
], { class: "saidword" }));
