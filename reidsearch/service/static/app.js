// The page: a question in the address, its answer below. What is found is drawn by the service.

import { cropped } from "./crop.js";
import { hide as hideDetails, onMarks } from "./details.js";
import { Problem, html, picture as stored, token } from "./door.js";
import { Filters } from "./filters.js";
import { onBrought, show as showPictures } from "./pictures.js";
import { bring, broughtAs, formOf, read, written } from "./question.js";

const at = (id) => document.getElementById(id);
const found = at("found");
const filters = new Filters(at("ask"));
const welcome = found.innerHTML;
const { mostBytes, framePixels } = at("limits").dataset;
const SOON = 150; // milliseconds
const LONG = 2000; // after which one wonders whether it goes on
const STILL = {
  hits: "Still searching.",
  trace: "Still tracing. The first trace of a gallery learns from it, which is done once.",
};

let question = read(location.hash);
let running = new AbortController(); // for the answer that is waited for
let retry = start; // what "Try again" does

async function start() {
  retry = start;
  await guarded(async () => {
    filters.draw(await html("/page/filters"));
    question = read(location.hash);
    await show();
  });
}

// Ask the next question: a new step for the browser's back button.
function change(next) {
  const address = written({ ...question, filters: filters.chosen ?? question.filters, ...next });
  const isNew = address !== written(question);
  question = read(address);
  const shown = show();
  if (isNew) history.pushState(null, "", address);
  return shown;
}

// Ask the question, and draw it while the answer is waited for.
function show() {
  const any = question.together.length > 0;
  const answered = any ? ask() : begin(); // what comes next takes time, of the browser's too
  filters.show(question.filters);
  filters.only({ trace: question.view === "trace", brought: question.together.some(broughtAs) });
  for (const input of document.getElementsByName("view")) input.checked = input.value === question.view;
  showPictures(at("together"), question.together, {
    called: "picture",
    onRemove: (key) => change({ together: question.together.filter((one) => one !== key) }),
    onCrop: cropAgain,
  });
  showPictures(at("unlike"), question.unlike, {
    called: "not this one",
    onRemove: (key) => change({ unlike: question.unlike.filter((one) => one !== key) }),
  });
  for (const id of ["another", "views"]) at(id).hidden = !any;
  at("unlike-title").hidden = question.unlike.length === 0;
  document.body.classList.toggle("asked", any);
  hideDetails();
  if (question.lost) {
    tell(new Problem("A picture of this question is not in this page any more.", {
      hint: "Pictures that you bring are nowhere but in the open page. Choose it again.",
    }));
  }
  return answered;
}

// Nothing is asked, and no answer is waited for.
function begin() {
  running.abort();
  rest();
  at("problem").hidden = true;
  put(welcome);
}

function rest() {
  found.classList.remove("slow");
  found.removeAttribute("aria-busy");
  at("waiting").textContent = "";
}

async function ask() {
  retry = show;
  running.abort();
  rest();
  running = new AbortController();
  const { signal } = running;
  const form = formOf(question);
  const path = question.view === "trace" ? "/page/trace" : "/page/answer";
  // An answer that comes at once need not be waited for: to fade the last one takes a frame.
  const slow = setTimeout(() => found.classList.add("slow"), SOON);
  const long = setTimeout(() => (at("waiting").textContent = STILL[question.view]), LONG);
  await guarded(async () => {
    found.setAttribute("aria-busy", "true");
    try {
      put(await html(path, { form, signal }));
    } finally {
      clearTimeout(slow);
      clearTimeout(long);
      if (!signal.aborted) rest();
    }
  }, () => put(""));
}

// Another question, or another kind of answer, is read from its beginning.
function toTop() {
  if (found.getBoundingClientRect().top < 0) found.scrollIntoView({ block: "start" });
}

// So is whom it is about.
function toPictures() {
  at("ask").scrollTop = 0;
  toTop();
}

function put(answer) {
  const focused = found.contains(document.activeElement);
  hideDetails();
  found.innerHTML = answer;
  at("said").textContent = found.querySelector("[data-said]")?.dataset.said ?? "";
  // Who was on a button that is gone goes on from the top of what is new.
  if (focused) found.focus({ preventScroll: true });
}

// Do it, and tell what went wrong; `clean` then takes away what is not true any more.
async function guarded(action, clean = () => {}) {
  if (!question.lost) at("problem").hidden = true;
  try {
    await action();
  } catch (error) {
    if (error.name === "AbortError") return;
    clean();
    if (error.status === 401) signIn(error);
    else tell(error);
    if (!(error instanceof Problem)) throw error; // a defect is for the console, too
  }
}

function tell(error) {
  const box = at("problem");
  box.querySelector(".message").textContent = error.message;
  box.querySelector(".hint").replaceChildren(...coded(error.hint ?? ""));
  at("again").hidden = !error.passes;
  box.hidden = false;
  box.scrollIntoView({ block: "nearest" }); // who asked far below it would see nothing happen
}

// A text whose words between grave accents are code.
function coded(text) {
  return text.split(/`([^`]+)`/).map((part, n) => {
    if (n % 2 === 0) return part;
    const code = document.createElement("code");
    code.textContent = part;
    return code;
  });
}

function signIn(problem) {
  const dialog = at("sign-in");
  at("sign-in-why").textContent = token.known ? problem.message : "";
  token.drop();
  at("sign-out").hidden = true;
  if (!dialog.open) dialog.showModal();
}

at("sign-in").addEventListener("close", () => {
  const text = at("token").value.trim();
  at("token").value = "";
  if (!text) return tell(new Problem("A token is needed.", { hint: "Try again to give one.", passes: true }));
  token.keep(text);
  at("sign-out").hidden = false;
  return start();
});
at("sign-out").hidden = !token.known;
at("sign-out").addEventListener("click", () => {
  token.drop();
  location.replace("/"); // with all that the page has in memory
});

// Pictures that were brought; the first one is cropped where it is a whole photograph.
async function take(files, { another }) {
  await guarded(async () => {
    if (!files.length) {
      throw new Problem("There is no picture in what you brought.", {
        hint: "Save the picture as a file, and choose that.",
      });
    }
    const keys = [];
    for (const file of files) {
      const name = file.name || "pasted picture";
      const [whole, isFrame] = await Promise.all([content(file, name), isPhotograph(file)]);
      const blob = isFrame ? await cropped(whole) : whole;
      if (blob) keys.push(kept(name, blob));
    }
    if (!keys.length) return;
    toPictures();
    const mine = another ? question.together : [];
    await change({ together: [...mine, ...keys], unlike: another ? question.unlike : [] });
  });
}

// What a file holds now: it may be changed, moved or removed while the question is refined.
async function content(file, name) {
  if (file.size > Number(mostBytes)) return file; // refused, unless a part is cut out of it
  try {
    return new Blob([await file.arrayBuffer()], { type: file.type });
  } catch {
    throw new Problem(`${name} cannot be read.`, {
      hint: "Bring pictures one by one or several at once, but no folders; and save first what is in the cloud.",
    });
  }
}

function kept(name, blob) {
  if (blob.size > Number(mostBytes)) {
    throw new Problem(`${name} has ${Math.ceil(blob.size / 1e6)} MB, and ${mostBytes / 1e6} may be sent.`, {
      hint: "Cut the person out of it, or save it smaller.",
    });
  }
  return bring(name, blob);
}

async function isPhotograph(file) {
  try {
    const bitmap = await createImageBitmap(file);
    const { width, height } = bitmap;
    bitmap.close();
    return width > height || width * height >= Number(framePixels);
  } catch {
    return false; // what the browser cannot read the service may
  }
}

async function cropAgain(key) {
  const { name, blob } = broughtAs(key);
  await guarded(async () => {
    const part = await cropped(blob).catch(() => {
      throw new Problem("This browser cannot show the picture, so it cannot be cropped here.");
    });
    if (!part || part === blob) return;
    const next = kept(name, part);
    await change({ together: question.together.map((one) => (one === key ? next : one)) });
  });
}

// A click in the answer: the next probe, a picture more of the person, one of somebody else.
found.addEventListener("click", ({ target }) => {
  const { ask: next, same, unlike, enlarge, more } = target.closest("button")?.dataset ?? {};
  const without = (keys, key) => keys.filter((one) => one !== key);
  if (next) {
    toPictures();
    change({ together: [next], unlike: [] });
  }
  if (same) {
    const has = question.together.includes(same);
    change({
      together: has ? without(question.together, same) : [...question.together, same],
      unlike: without(question.unlike, same),
    });
  }
  if (unlike) {
    const together = without(question.together, unlike);
    change({ together, unlike: [...without(question.unlike, unlike), unlike] });
  }
  if (enlarge) enlarged(enlarge, target.closest("figure"));
  if (more) {
    at("ask").elements.top_k.value = more;
    change({});
  }
});

async function enlarged(id, figure) {
  await guarded(async () => {
    const url = URL.createObjectURL(await stored(id));
    const picture = at("enlarged-picture");
    picture.src = url;
    picture.alt = figure.querySelector("img")?.alt ?? "";
    at("enlarged-caption").textContent = picture.alt || figure.title;
    at("enlarged").showModal();
    at("enlarged").addEventListener("close", () => URL.revokeObjectURL(url), { once: true });
  });
}

document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault(); // the address is the question's
  found.focus();
});
at("ask").addEventListener("submit", (event) => event.preventDefault());
at("ask").addEventListener("change", ({ target }) => {
  if (target.type === "file") return;
  toTop();
  change(target.name === "view" ? { view: target.value } : {});
});
at("clear").addEventListener("click", () => change({ filters: [] }));
at("again").addEventListener("click", () => retry());
addEventListener("popstate", () => {
  question = read(location.hash);
  show();
});
at("filters").open = matchMedia("(min-width: 900px)").matches;
onBrought(take);
onMarks(found);
start();
