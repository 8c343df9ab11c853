// What is asked: pictures of one person, pictures of others, filters, and which kind of answer.
// All of it is in the address after the #, so that back, forward and bookmarks work; pictures that
// were brought are there by a key, and in this page's memory by their bytes.

const brought = new Map(); // key -> {name, blob}

// Keep a picture that somebody brought; returns its key.
export function bring(name, blob) {
  const key = `p${brought.size + 1}`;
  brought.set(key, { name, blob });
  return key;
}

// The picture of a key: {name, blob}, undefined for one that is stored, or was lost by a reload.
export const broughtAs = (key) => brought.get(key);

export const isStored = (key) => /^\d+$/.test(key);

// {together: [key], unlike: [key], view: "hits" | "trace", filters: [[name, value]]}
export function read(hash) {
  const given = [...new URLSearchParams(hash.replace(/^#/, ""))];
  const of = (name) => [...new Set(given.filter(([key]) => key === name).map(([, value]) => value))];
  const here = (key) => isStored(key) || brought.has(key);
  return {
    together: of("of").filter(here),
    unlike: of("not").filter(isStored),
    view: of("view")[0] === "trace" ? "trace" : "hits",
    filters: given.filter(([key]) => !["of", "not", "view"].includes(key)),
    lost: of("of").some((key) => !here(key)),
  };
}

export function written({ together, unlike, view, filters }) {
  const words = new URLSearchParams([
    ...together.map((key) => ["of", key]),
    ...unlike.map((key) => ["not", key]),
    ...(view === "trace" ? [["view", view]] : []),
    ...filters,
  ]);
  return `#${words}`;
}

// The form that the service takes. A trace is of all cameras.
export function formOf({ together, unlike, view, filters }) {
  const form = new FormData();
  for (const key of together) {
    const picture = brought.get(key);
    if (picture) form.append("image", picture.blob, picture.name);
    else form.append("image_id", key);
  }
  for (const key of unlike) form.append("not_id", key);
  const forTraces = ["camera", "time", "site", "dataset", "since", "until", "ranking"];
  for (const [name, value] of filters) {
    if (view !== "trace" || forTraces.includes(name)) form.append(name, value);
  }
  return form;
}
