// One field for a part's number, the controller's count, an image's name or a time; it says what it understood.
import { $, ask, element } from "./dom.js";
import { table } from "./listed.js";
import { plain, rest } from "./place.js";
import { tr } from "./tr.js";

const UNDERSTOOD = {
  part: (said) => tr("Part number {said}", { said }),
  count: (said) => tr("Count {said} of the controller", { said }),
  image: (said) => tr("Image with the name {said}", { said }),
  likely_image: (said) => tr("No image has the name {said}. Images whose name contains it", { said }),
  time: (said) => tr("Parts from {said} on, in the time of the line PC", { said: said.replace(/\.\d+/, "") }),
};

export function start() {
  $("findform").addEventListener("submit", (event) => {
    event.preventDefault();
    const text = $("findtext").value.trim(), address = `#find/${encodeURIComponent(text)}`;
    if (!text) return;
    if (location.hash === address) show(); else location.hash = address;
  });
}

export async function show() {
  const text = plain(rest());
  $("findtext").value = text;
  if (!text) { $("findtext").focus(); $("foundgroups").replaceChildren(element("p", tr("Type something into the field above."))); return; }
  $("foundgroups").replaceChildren(element("p", tr("Searching…")));
  try {
    const { groups } = await ask(`api/find?${new URLSearchParams({ text })}`);
    if (text !== plain(rest())) return;
    $("foundgroups").replaceChildren(...groups.map(group));
  } catch (err) { $("foundgroups").replaceChildren(element("p", err.message)); }
}

function group(found) {
  const more = found.filter ? [element("p", element("a", tr("All of them in the history"), { href: `#history/${found.filter}` }))] : [];
  const parts = found.parts.length ? table(found.parts) : element("p", tr("No such part."));
  return element("section", [element("h2", UNDERSTOOD[found.kind](found.said)), parts, ...more]);
}
