// A trace's time line: what a mark stands for, while it is pointed at or has the focus.

const panel = document.getElementById("details");
let shown = null; // the mark

// The marks are links to the cards of their stays.
export function onMarks(found) {
  const mark = (event) => event.target.closest?.(".track a");
  found.addEventListener("pointerover", (event) => mark(event) && show(mark(event)));
  found.addEventListener("pointerout", (event) => mark(event) && hideUnless(event.relatedTarget));
  found.addEventListener("focusin", (event) => mark(event) && show(mark(event)));
  found.addEventListener("focusout", (event) => mark(event) && hide());
  panel.addEventListener("pointerleave", (event) => hideUnless(event.relatedTarget));
  addEventListener("keydown", (event) => event.key === "Escape" && hide());
  addEventListener("scroll", hide, { passive: true });
  found.addEventListener("click", (event) => {
    if (!mark(event)) return;
    event.preventDefault(); // the address is the question's
    const card = cardOf(mark(event));
    hide();
    card.scrollIntoView({ block: "center" });
    card.querySelector("button")?.focus();
  });
}

const cardOf = (mark) => document.getElementById(mark.getAttribute("href").slice(1));

function show(mark) {
  if (shown === mark) return;
  hide();
  shown = mark;
  const card = cardOf(mark);
  card.classList.add("meant");
  const copy = document.createElement("div");
  const picture = card.querySelector(".picture img");
  if (picture) copy.append(Object.assign(new Image(), { src: picture.src, alt: "" }));
  copy.append(card.querySelector("figcaption").cloneNode(true));
  panel.replaceChildren(...copy.childNodes);
  panel.hidden = false;
  const place = mark.getBoundingClientRect();
  const { width, height } = panel.getBoundingClientRect();
  const left = Math.min(Math.max(place.left + place.width / 2 - width / 2, 8), innerWidth - width - 8);
  const above = place.top - height - 4;
  panel.style.left = `${left}px`;
  panel.style.top = `${above > 0 ? above : place.bottom + 4}px`;
}

// Whoever goes on to the panel may read it there.
function hideUnless(next) {
  if (next !== panel && !panel.contains(next) && !shown?.contains(next)) hide();
}

export function hide() {
  if (shown) cardOf(shown)?.classList.remove("meant");
  shown = null;
  panel.hidden = true;
}
