// The filters: fields of the form, which the service draws, and what is in the address.

const PLAIN = { top_k: "20" }; // what a field has when nothing is asked of it

export class Filters {
  constructor(form) {
    this.form = form;
    this.fields = form.querySelector("#filter-fields");
  }

  draw(html) {
    this.fields.innerHTML = html;
    this.fields.removeAttribute("aria-busy");
  }

  // [[name, value]] of all that is filled in; nothing is known before it is drawn.
  get chosen() {
    if (this.fields.hasAttribute("aria-busy")) return undefined;
    return [...new FormData(this.form)].filter(
      ([name, value]) =>
        typeof value === "string" && name !== "view" && value !== (PLAIN[name] ?? ""),
    );
  }

  show(chosen) {
    for (const field of this.form.elements) {
      if (!field.name || field.name === "view") continue;
      const values = chosen.filter(([name]) => name === field.name).map(([, value]) => value);
      if (field.type === "checkbox") field.checked = values.includes(field.value);
      else field.value = values[0] ?? PLAIN[field.name] ?? "";
    }
  }

  // What would have no effect cannot be chosen: a trace is over all cameras, and what is stored has
  // a camera and a time already.
  only({ trace, brought }) {
    const off = (kind, disabled) => {
      for (const part of this.fields.querySelectorAll(kind)) part.disabled = disabled;
    };
    off(".for-hits", trace);
    off(".for-brought", !brought);
  }
}
