// The crop tool: a box around one person in a whole photograph, by mouse, touch or keyboard.

import * as box from "./box.js";

const STEP = 0.01; // of a side, for each press of an arrow
const LONGEST = 1024; // pixels of a crop's longer side: encoders look at far fewer

const dialog = document.getElementById("crop");
const stage = document.getElementById("crop-stage");
const image = document.getElementById("crop-picture");
const frame = document.getElementById("crop-box");
const place = document.getElementById("crop-place");
let now = box.first(1, 1);
let held = null; // what a pointer does: (point) => box

// The part of the picture that somebody chooses, as a blob; the whole one as it came, and null
// where they leave it. Throws where the browser cannot show the picture.
export async function cropped(blob) {
  const bitmap = await createImageBitmap(blob);
  const url = URL.createObjectURL(blob);
  image.src = url;
  await image.decode();
  show(box.first(bitmap.width, bitmap.height));
  dialog.returnValue = "";
  dialog.showModal();
  frame.focus();
  await new Promise((resolve) => dialog.addEventListener("close", resolve, { once: true }));
  URL.revokeObjectURL(url);
  if (dialog.returnValue === "part") return part(bitmap);
  return dialog.returnValue === "whole" ? blob : null;
}

function part(bitmap) {
  const { x, y, width, height } = box.pixels(now, bitmap.width, bitmap.height);
  const scale = Math.min(1, LONGEST / Math.max(width, height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(width * scale));
  canvas.height = Math.max(1, Math.round(height * scale));
  const pen = canvas.getContext("2d");
  pen.imageSmoothingQuality = "high";
  pen.drawImage(bitmap, x, y, width, height, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
}

function show(next) {
  now = next;
  for (const side of ["left", "top", "width", "height"]) frame.style[side] = `${100 * now[side]}%`;
  const { x, y, width, height } = box.pixels(now, image.naturalWidth, image.naturalHeight);
  place.textContent = `${width} x ${height} pixels, ${x} from the left, ${y} from the top`;
}

function at(event) {
  const { left, top, width, height } = image.getBoundingClientRect();
  return { x: (event.clientX - left) / width, y: (event.clientY - top) / height };
}

stage.addEventListener("pointerdown", (event) => {
  if (event.button) return;
  event.preventDefault(); // the browser would drag the picture
  const start = at(event);
  const { corner } = event.target.dataset;
  if (corner) {
    const fixed = box.opposite(now, corner);
    held = (point) => box.between(fixed, point);
  } else if (event.target === frame) {
    const before = now;
    held = (point) => box.moved(before, point.x - start.x, point.y - start.y);
  } else {
    held = (point) => box.between(start, point);
  }
  stage.setPointerCapture(event.pointerId);
  frame.focus();
});
stage.addEventListener("pointermove", (event) => held && show(held(at(event))));
for (const end of ["pointerup", "pointercancel"]) stage.addEventListener(end, () => (held = null));

frame.addEventListener("keydown", (event) => {
  const direction = {
    ArrowLeft: [-1, 0],
    ArrowRight: [1, 0],
    ArrowUp: [0, -1],
    ArrowDown: [0, 1],
  }[event.key];
  if (!direction) return;
  event.preventDefault();
  const [dx, dy] = direction.map((one) => one * STEP);
  show(event.shiftKey ? box.grown(now, dx, dy) : box.moved(now, dx, dy));
});
