// What stands in the address behind a view's name: #history/verdict=REJECT, #whatif/<bundle>/<limit>.
export function rest() {
  const hash = location.hash.slice(1), at = hash.indexOf("/");
  return at < 0 ? "" : hash.slice(at + 1);
}

export const pieces = () => rest().split("/").map(plain);
export const values = () => new URLSearchParams(rest());

export function plain(piece) {
  try { return decodeURIComponent(piece); } catch { return piece; } // somebody typed a lone %
}

const view = (hash) => hash.slice(1).split("/")[0];

// Whether that view is still the one that is asked for: an answer that comes late must not bring a person back to it.
export const isAt = (name) => view(location.hash) === name;

// Changes the address without asking the view again: for what a person is still moving.
export function note(address) {
  if (isAt(view(address))) history.replaceState(null, "", address);
}

// Keys of a view: not while somebody types, and not those of the browser.
export function onKeys(view, keys) {
  addEventListener("keydown", (event) => {
    const isOfPicture = event.target.closest?.(".zoom") && /^(Arrow.*|[+=0-]|Enter|Delete|Backspace|Escape)$/.test(event.key);
    const isTyping = isOfPicture || event.target.closest?.("input, select, textarea, dialog");
    if (document.getElementById(view).hidden || isTyping || event.ctrlKey || event.altKey || event.metaKey || !(event.key in keys)) return;
    event.preventDefault();
    keys[event.key]();
  });
}
