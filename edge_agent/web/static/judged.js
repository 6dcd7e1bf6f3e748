// Why a score is what it is: its shares by channel, and how light and focus stood.
import { element, number } from "./dom.js";
import { tr } from "./tr.js";

const QUANTITIES = { brightness: tr("brightness"), contrast: tr("contrast"), sharpness: tr("sharpness"), red: tr("red"), blue: tr("blue") };

export function showShares(list, shares, limit) {
  list.replaceChildren(...Object.entries(shares).flatMap(([name, share]) => {
    const bar = element("i");
    bar.style.width = `${limit ? Math.max(0, Math.min(100, (50 * share) / limit)) : 0}%`;
    return [element("dt", name), element("dd", bar, { class: limit && share >= limit ? "bar over" : "bar" }), element("dd", number(share))];
  }));
}

// The middle of a bar is as usual, either end is where parts are rejected.
export function showImageCondition(list, condition) {
  list.title = tr("Light and focus: the middle is as usual, at either end parts are rejected");
  list.replaceChildren(...Object.entries(condition).flatMap(([name, share]) => {
    const bar = element("i");
    bar.style.width = `${Math.max(0, Math.min(100, 50 + 50 * share))}%`;
    return [element("dt", QUANTITIES[name] ?? name), element("dd", bar, { class: Math.abs(share) >= 0.7 ? "bar over" : "bar" }), element("dd", `${Math.round(100 * share)} %`)];
  }));
}
