// Shapes on a camera's image, in whole pixels of that image. Pure: no page, no event.
export const MOST_SHAPES = 12, MOST_POINTS = 48; // with both, a drawing stays below what the server takes

const clamp = (value, most) => Math.min(most, Math.max(0, Math.round(value)));
export const inside = (point, size) => ({ x: clamp(point.x, size.width), y: clamp(point.y, size.height) });

export function boxOf(shape) {
  const xs = shape.points.map(([x]) => x), ys = shape.points.map(([, y]) => y);
  const left = Math.min(...xs), top = Math.min(...ys);
  return { left, top, width: Math.max(...xs) - left, height: Math.max(...ys) - top };
}

export const rectangle = (one, other) => ({
  kind: "rectangle", points: [[Math.min(one.x, other.x), Math.min(one.y, other.y)], [Math.max(one.x, other.x), Math.max(one.y, other.y)]],
});

// A closed outline of few points: those go whose leaving changes the form the least (Ramer 1972, Douglas and Peucker 1973).
export function outline(points) {
  let kept = points, tolerance = 0.5;
  while (kept.length > MOST_POINTS || tolerance === 0.5) {
    kept = thinned(points, tolerance);
    tolerance *= 1.5;
  }
  return { kind: "outline", points: kept.map(({ x, y }) => [x, y]) };
}

function thinned(points, tolerance) {
  const kept = new Set([0, points.length - 1]), waiting = [[0, points.length - 1]];
  while (waiting.length) {
    const [from, to] = waiting.pop();
    let far = 0, at = -1;
    for (let i = from + 1; i < to; i += 1) {
      const away = distance(points[i], points[from], points[to]);
      if (away > far) { far = away; at = i; }
    }
    if (far > tolerance) { kept.add(at); waiting.push([from, at], [at, to]); }
  }
  return points.filter((_, index) => kept.has(index));
}

function distance(point, from, to) {
  const dx = to.x - from.x, dy = to.y - from.y, length = Math.hypot(dx, dy);
  if (!length) return Math.hypot(point.x - from.x, point.y - from.y);
  return Math.abs(dy * (point.x - from.x) - dx * (point.y - from.y)) / length;
}

// Whether it covers anything at all: what does not is no place.
export function isPlace(shape, least = 1) {
  const box = boxOf(shape), corners = new Set(shape.points.map(String)).size;
  return box.width >= least && box.height >= least && (shape.kind === "rectangle" || corners >= 3);
}

// Moved, or a rectangle made larger, as far as the image goes.
export function moved(shape, dx, dy, size) {
  const box = boxOf(shape);
  const x = Math.min(size.width - box.left - box.width, Math.max(-box.left, Math.round(dx)));
  const y = Math.min(size.height - box.top - box.height, Math.max(-box.top, Math.round(dy)));
  return { ...shape, points: shape.points.map(([px, py]) => [px + x, py + y]) };
}

export function resized(shape, dx, dy, size) {
  if (shape.kind !== "rectangle") return shape;
  const [[left, top], [right, bottom]] = shape.points;
  const x = Math.min(size.width, Math.max(left + 1, Math.round(right + dx)));
  const y = Math.min(size.height, Math.max(top + 1, Math.round(bottom + dy)));
  return { ...shape, points: [[left, top], [x, y]] };
}
