// Keys of a form in which a person says something of a part: they lead to a field or a button, and say nothing themselves.
export function sayingKeys(view, drawing) {
  const go = (what) => () => document.querySelector(`#${view} ${what}`)?.focus();
  return {
    g: go("form.say button.good"), b: go("form.say button.bad"), m: go("form.say [name=defect]"), t: go("form.say [name=note]"),
    s: () => document.querySelector(`#${view} .showsaid`)?.click(),
    r: () => drawing()?.take("rectangle"), o: () => drawing()?.take("outline"), v: () => drawing()?.take(""), z: () => drawing()?.undo(), x: () => drawing()?.clear(),
  };
}
