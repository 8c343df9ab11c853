// The service that this page came from: asks it, with a token where it needs one.

const KEY = "reidsearch-token"; // of this tab and origin alone, and gone with the tab
const PASSING = new Set([408, 409, 429]); // too slow, an unready gallery, too many requests

export class Problem extends Error {
  // What happened, what to try, the status it was answered with (0 for no answer), and whether the
  // same may be answered another time.
  constructor(message, { hint = "", status = 0, passes = false } = {}) {
    super(message);
    this.hint = hint;
    this.status = status;
    this.passes = passes;
  }
}

export const token = {
  get known() {
    return sessionStorage.getItem(KEY) !== null;
  },
  keep(text) {
    sessionStorage.setItem(KEY, text);
  },
  drop() {
    sessionStorage.removeItem(KEY);
  },
};

// The answer to a path of this service; `form` is sent where there is one. Throws Problem, and
// AbortError where `signal` says that nobody waits for it any more.
async function ask(path, { form, signal } = {}) {
  const headers = token.known ? { authorization: `Bearer ${sessionStorage.getItem(KEY)}` } : {};
  let answer;
  try {
    answer = await fetch(path, { method: form ? "POST" : "GET", body: form, headers, signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem("The service does not answer.", {
      hint: "It may have been stopped, or the network is down. Nothing of your question is lost.",
      passes: true,
    });
  }
  if (!answer.ok) throw await told(answer);
  return answer;
}

export async function html(path, options) {
  return (await ask(path, options)).text();
}

export async function picture(id) {
  return (await ask(`/api/images/${id}`)).blob();
}

async function told(answer) {
  const { status } = answer;
  const passes = status >= 500 || PASSING.has(status);
  try {
    const { detail, hint = "" } = await answer.json();
    // By its id whoever runs the service finds in the log what it was.
    const id = status === 500 ? ` Request \`${answer.headers.get("x-request-id")}\`.` : "";
    return new Problem(`${sentence(detail)}.`, { hint: `${hint}${id}`.trim(), status, passes });
  } catch {
    return new Problem(`The service answered ${status}.`, { hint: "Try again.", status, passes: true });
  }
}

// With a capital, unless it begins with a file's name.
function sentence(text) {
  return /^\S*\./.test(text) ? text : text[0].toUpperCase() + text.slice(1);
}
