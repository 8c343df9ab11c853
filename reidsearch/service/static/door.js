// The service that this page came from: asks it, with a token where it needs one.

const KEY = "reidsearch-token"; // of this tab and origin alone, and gone with the tab

export class Problem extends Error {
  // What happened, what to try, and the status it was answered with: 0 for no answer.
  constructor(message, { hint = "", status = 0 } = {}) {
    super(message);
    this.hint = hint;
    this.status = status;
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
  try {
    const { detail, hint } = await answer.json();
    return new Problem(`${sentence(detail)}.`, { hint, status });
  } catch {
    return new Problem(`The service answered ${status}.`, { hint: "Try again.", status });
  }
}

// With a capital, unless it begins with a file's name.
function sentence(text) {
  return /^\S*\./.test(text) ? text : text[0].toUpperCase() + text.slice(1);
}
