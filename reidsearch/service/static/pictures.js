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
  const there = new Map([...list.children].map((item) => [item.dataset.key, item]));
  list.replaceChildren(
    ...keys.map((key, n) => there.get(key) ?? drawn(key, `${called} ${n + 1}`, { onRemove, onCrop })),
  );
}

function drawn(key, name, { onRemove, onCrop }) {
  const item = document.createElement("li");
  item.dataset.key = key;
  const frame = document.createElement("div");
  frame.className = "frame";
  const image = document.createElement("img");
  image.alt = `${name}${broughtAs(key) ? `: ${broughtAs(key).name}` : ", a stored one"}`;
  frame.append(image);
  blobOf(key).then((blob) => fill(image, blob)).catch((error) => frame.replaceChildren(gone(error)));
  item.append(frame, button("Remove", name, () => onRemove(key)));
  if (onCrop && broughtAs(key)) item.append(button("Crop", name, () => onCrop(key)));
  return item;
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

function button(word, name, act) {
  const made = document.createElement("button");
  made.type = "button";
  made.textContent = word;
  const more = document.createElement("span");
  more.className = "unseen";
  more.textContent = ` ${name}`;
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
