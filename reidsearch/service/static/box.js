// A box on a picture, in shares of its width and height: pure geometry.

const LEAST = 0.02; // of a side

const within = (value, least, most) => Math.min(Math.max(value, least), most);

// Two corners, in any order, as a box within the picture.
export function between(a, b) {
  const [left, right] = [a.x, b.x].map((x) => within(x, 0, 1)).sort((m, n) => m - n);
  const [top, bottom] = [a.y, b.y].map((y) => within(y, 0, 1)).sort((m, n) => m - n);
  return sized({ left, top, width: right - left, height: bottom - top });
}

export function moved(box, dx, dy) {
  return {
    ...box,
    left: within(box.left + dx, 0, 1 - box.width),
    top: within(box.top + dy, 0, 1 - box.height),
  };
}

// Larger or smaller by so much, its upper left corner where it was.
export function grown(box, dx, dy) {
  return sized({
    ...box,
    width: within(box.width + dx, LEAST, 1 - box.left),
    height: within(box.height + dy, LEAST, 1 - box.top),
  });
}

// The corner that stays where it is while the one of that name ("nw", ...) is dragged.
export function opposite(box, corner) {
  return {
    x: corner.includes("w") ? box.left + box.width : box.left,
    y: corner.includes("n") ? box.top + box.height : box.top,
  };
}

// Upright in the middle, twice as high as wide: where a person may well be.
export function first(width, height) {
  const share = Math.min((0.7 * height) / (2 * width), 0.9);
  return { left: (1 - share) / 2, top: 0.15, width: share, height: 0.7 };
}

// In whole pixels of a picture of that size; no side is empty.
export function pixels(box, width, height) {
  const x = Math.floor(box.left * width);
  const y = Math.floor(box.top * height);
  return {
    x,
    y,
    width: within(Math.round(box.width * width), 1, width - x),
    height: within(Math.round(box.height * height), 1, height - y),
  };
}

function sized(box) {
  const width = within(box.width, LEAST, 1);
  const height = within(box.height, LEAST, 1);
  return {
    left: within(box.left, 0, 1 - width),
    top: within(box.top, 0, 1 - height),
    width,
    height,
  };
}
