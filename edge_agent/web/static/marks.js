// Shapes as a layer over a picture: it has the image's own pixels as its units, and lies as the picture does.
const SVG = "http://www.w3.org/2000/svg";

export function svg(name, attributes = {}) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

export const layer = (size, name) => svg("svg", { class: `marks ${name}`, viewBox: `0 0 ${size.width} ${size.height}`, "aria-hidden": "true" });

const path = ({ kind, points }) => {
  const [[left, top], [right, bottom]] = points;
  const corners = kind === "rectangle" ? [[left, top], [right, top], [right, bottom], [left, bottom]] : points;
  return `M${corners.map((point) => point.join(" ")).join("L")}Z`;
};

// Twice: dark below, bright above, so that it is seen on any picture.
export function mark(shape, name = "") {
  const made = svg("g", { class: name });
  made.append(svg("path", { d: path(shape), class: "halo" }), svg("path", { d: path(shape), class: "line" }));
  return made;
}

// What people drew on this camera's image, dashed. Their images were as large as this one, or are scaled to it.
export function showOthers(over, camera, reviews) {
  const drawn = reviews.flatMap((review) => (review.drawings ?? []).filter((one) => one.camera === camera).map((one) => ({ ...one, who: review.who, defect: review.defect })));
  over.replaceChildren(...drawn.flatMap((one) => one.shapes.map((shape) => {
    const made = mark(shape, "other"), title = svg("title");
    title.textContent = [one.defect, one.who].filter(Boolean).join(" · ");
    made.append(title);
    return made;
  })));
  return drawn.length;
}
