// Why a score is what it is: its shares by what was looked at, and how light and focus stood. Names are words, not codes.
import { element, number } from "./dom.js";
import { tr } from "./tr.js";
import { QUANTITIES, SHARES } from "./words.js";

/** The word for a part: a PASS that did not reach the output in time was a REJECT for the gate. */
export const verdictOf = (part) => (part.held_back ? "REJECT" : part.verdict);

function rows(list, found) {
  list.replaceChildren(...found.flatMap(({ name, sentence, width, isOver, told }) => {
    const bar = element("i");
    bar.style.width = `${Math.max(0, Math.min(100, width))}%`;
    return [
      element("dt", [name, element("small", sentence)], { title: sentence }),
      element("dd", bar, { class: isOver ? "bar over" : "bar" }),
      element("dd", told),
    ];
  }));
}

// The middle of a bar is the limit. Of a part that passed none is red: its score is their mean, and one share alone may be above.
export function showShares(list, shares, score, limit) {
  rows(list, Object.entries(shares).map(([code, share]) => {
    const [name, sentence] = SHARES[code] ?? [code, ""];
    return {
      name, sentence, width: limit ? (50 * share) / limit : 0, isOver: limit && share >= limit && score >= limit,
      told: limit ? tr("{ratio} × limit", { ratio: number(share / limit, 2) }) : number(share),
    };
  }));
}

// The middle of a bar is as usual, either end is where parts are rejected.
export function showImageCondition(list, condition) {
  list.title = tr("Light and focus: the middle is as usual, at either end parts are rejected");
  rows(list, Object.entries(condition).map(([code, share]) => {
    const [name, sentence] = QUANTITIES[code] ?? [code, ""];
    return { name, sentence, width: 50 + 50 * share, isOver: Math.abs(share) >= 0.7, told: `${Math.round(100 * share)} %` };
  }));
}
