// How often people agree, under the queue: numbers, and no order of people.
import { $, ask, element } from "./dom.js";
import { tr, trn } from "./tr.js";

const percent = (share) => `${(100 * share).toFixed(0)} %`;
const rate = ({ seen, of, bounds_95: bounds }) => (bounds ? `${seen} / ${of} · ${percent(seen / of)} (${percent(bounds[0])}–${percent(bounds[1])})` : of ? `${seen} / ${of} · ${tr("too few to say")}` : "–");

export function showAgreement() {
  $("agreement").open = false;
  $("agreement").ontoggle = async () => {
    if (!$("agreement").open) return;
    let told;
    try { told = await ask("api/reviewers"); } catch (err) { $("agreementbody").replaceChildren(err.message); return; }
    $("agreementbody").replaceChildren(...shown(told));
  };
}

function shown(told) {
  if (!told.reviewers.length) return [element("p", tr("Nobody has reviewed a part yet."))];
  const heads = [tr("Reviewer"), tr("Reviews"), tr("Second readings"), tr("Agreed in them"), tr("Overturned by who decided")];
  const rows = told.reviewers.map((one) => [one.name, one.reviews, one.read_twice, rate(one.agreed), rate(one.overturned)]);
  const kappa = told.kappa === null ? tr("too few to say") : `${told.kappa.toFixed(2)} (${told.kappa_bounds_95.map((bound) => bound.toFixed(2)).join("–")})`;
  return [
    element("p", `${trn("{n} part was read twice.", "{n} parts were read twice.", told.read_twice)} ${tr("Agreement beyond chance (kappa):")} ${kappa}`),
    element("div", element("table", [
      element("thead", element("tr", heads.map((head) => element("th", head, { scope: "col" })))),
      element("tbody", rows.map((cells) => element("tr", cells.map((cell) => element("td", String(cell)))))),
    ]), { class: "wide", tabindex: "0", role: "region", "aria-label": tr("Agreement by reviewer") }),
    element("p", tr("In brackets: with 95 % confidence. Under {number} second readings nothing is said of a person.", { number: told.least })),
  ];
}
