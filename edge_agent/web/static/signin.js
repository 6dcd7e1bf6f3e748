// The view where a user signs in and out. Afterwards the browser goes back to where it came from.
import { $, ask } from "./dom.js";
import { forget } from "./pad.js";
import { known, learn, user } from "./person.js";
import { tr } from "./tr.js";

let from = "";
const posted = (body) => ({ method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });

export function start() {
  addEventListener("hashchange", (event) => {
    const before = new URL(event.oldURL).hash;
    if (!before.startsWith("#signin")) from = before;
  });
  $("signinform").addEventListener("submit", async (event) => {
    event.preventDefault();
    const { name, password, go } = $("signinform").elements;
    go.disabled = true;
    $("signinsaid").textContent = "";
    try {
      await ask("api/session", posted({ name: name.value.trim(), password: password.value }));
      await learn();
      location.hash = from || "#review";
    } catch (err) { $("signinsaid").textContent = err.message; password.focus(); }
    password.value = "";
    go.disabled = false;
  });
  $("passwordform").addEventListener("submit", async (event) => {
    event.preventDefault();
    const { password, new: fresh, again } = $("passwordform").elements;
    if (fresh.value !== again.value) { $("signinsaid").textContent = tr("The new password is not the same twice."); again.focus(); return; }
    try {
      await ask("api/password", posted({ password: password.value, new: fresh.value }));
      $("signinsaid").textContent = tr("The password is changed.");
    } catch (err) { $("signinsaid").textContent = err.message; }
    $("passwordform").reset();
  });
  $("signout").addEventListener("click", async () => {
    const name = user()?.name ?? "";
    try { await ask("api/signout", posted({})); } catch (err) { $("signinsaid").textContent = err.message; return; }
    forget(name);
    await learn();
    show();
  });
}

export async function show() {
  $("signinsaid").textContent = "";
  await known();
  $("signinform").hidden = Boolean(user());
  $("signedin").hidden = !user();
  $("signout").hidden = !user() || user().is_named_by_proxy;
  $("passwordform").elements.username.defaultValue = user()?.name ?? "";
  if (user()) $("signedwho").textContent = tr("{name} is signed in here as {role}.", { name: user().name, role: user().role_words });
}
