// Pictures on their way in: chosen, dropped or pasted; and those of the question, shown.

import { Problem, picture as stored } from "./door.js";
import { broughtAs } from "./question.js";

// Call `take(files, {another})` for each way in; `another` where they are more of the same person.
export function onBrought(take) {
  for (const [id, another] of [["choose", false], ["choose-another", true]]) {
    const input = document.getElementById(id);
    input.addEventListener("change", () => {
      take([...input.files], { another });
      input.value = ""; // so that the same file can be chosen again
    });
  }
  let within = 0; // drags enter elements within before they leave those around
  const over = (step) => {
    within += step;
    document.body.classList.toggle("dropping", within > 0);
  };
  addEventListener("dragenter", (event) => {
    event.preventDefault();
    over(1);
  });
  addEventListener("dragleave", () => over(-1));
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", (event) => {
    event.preventDefault();
    over(-within);
    const another = Boolean(event.target.closest?.("#another"));
    take([...event.dataTransfer.files], { another });
  });
  addEventListener("paste", (event) => {
    const files = [...event.clipboardData.files];
    if (files.length) take(files, { another: false });
  });
}

// Show the pictures of these keys in a list, each with buttons; `called` says what they are.
export function show(list, keys, { called, onRemove, onCrop }) {
  const before = [...list.children];
  const there = new Map(before.map((item) => [item.dataset.key, item]));
  const place = before.findIndex((item) => item.contains(document.activeElement));
  const pressed = place < 0 ? -1 : [...before[place].querySelectorAll("button")].indexOf(document.activeElement);
  const items = keys.map((key) => there.get(key) ?? drawn(key, { onRemove, onCrop }));
  items.forEach((item, n) => name(item, `${called} ${n + 1}`));
  list.replaceChildren(...items);
  // Who was on a button that is gone goes on from the one in its place, or from the beginning.
  if (pressed < 0) return;
  const next = list.children[Math.min(place, keys.length - 1)];
  (next?.querySelectorAll("button")[pressed] ?? document.getElementById("choose")).focus();
}

function drawn(key, { onRemove, onCrop }) {
  const item = document.createElement("li");
  item.dataset.key = key;
  const frame = document.createElement("div");
  frame.className = "frame";
  const image = document.createElement("img");
  frame.append(image);
  blobOf(key).then((blob) => fill(image, blob)).catch((error) => frame.replaceChildren(gone(error)));
  item.append(frame, button("Remove", () => onRemove(key)));
  if (onCrop && broughtAs(key)) item.append(button("Crop", () => onCrop(key)));
  return item;
}

// For screen readers: those behind one that was removed move up.
function name(item, called) {
  const brought = broughtAs(item.dataset.key);
  const image = item.querySelector("img");
  if (image) image.alt = `${called}${brought ? `: ${brought.name}` : ", a stored one"}`;
  for (const one of item.querySelectorAll("button .unseen")) one.textContent = ` ${called}`;
}

// Nothing is kept of it: a stored picture may be forgotten, and is asked for anew the next time.
const blobOf = async (key) => broughtAs(key)?.blob ?? stored(key);

async function fill(image, blob) {
  const url = URL.createObjectURL(blob);
  image.src = url;
  try {
    await image.decode();
  } catch {
    throw new Problem("This browser cannot show it.");
  } finally {
    URL.revokeObjectURL(url);
  }
}

function button(word, act) {
  const made = document.createElement("button");
  made.type = "button";
  made.textContent = word;
  const more = document.createElement("span");
  more.className = "unseen";
  made.append(more);
  made.addEventListener("click", act);
  return made;
}

function gone({ message }) {
  const said = document.createElement("span");
  said.className = "gone";
  said.textContent = message;
  return said;
}
