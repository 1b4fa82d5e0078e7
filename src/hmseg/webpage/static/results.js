// The masks: a row for each query, a column for each masking, computed one after the other.

import { $, complain, make, percent, stack } from "./dom.js";

const ABOUT = {
  none: "nothing of the support is hidden",
  feature: "the support's features outside the mask are zeroed",
  input: "the support image outside the mask is blanked",
  hybrid: "feature masking, its gaps filled from the blanked image",
};

export class Results {
  constructor(state, colourOf, predict) {
    this.state = state;
    this.colourOf = colourOf;
    this.predict = predict;
    this.version = 0;
    this.running = false;
    this.onMaskings = () => {};
    const { maskings, own, reference } = state.about;
    for (const name of maskings) {
      const box = make("input", { type: "checkbox", value: name, checked: true });
      $("#maskings").append(make("label", { title: ABOUT[name] }, box, make("i", { class: `dot ${name}` }), name));
    }
    $("#maskings").addEventListener("change", (event) => {
      if (!this.shown().length) event.target.checked = true; // one at least
      this.refresh();
      this.onMaskings();
    });
    $("#views").addEventListener("change", () => this.refresh());
    $("#views input[value=change]").nextSibling.textContent = `Change from ${reference}`;
    $("#note").textContent =
      `One network, trained with ${own} masking, makes all of these: only the masking of the supports differs. ` +
      "A network trained with another masking may do better with that one.";
  }

  shown() {
    return [...document.querySelectorAll("#maskings input:checked")].map((box) => box.value);
  }

  get view() {
    return $("input[name=view]:checked").value;
  }

  // The supports are others now: nothing that was computed counts.
  outdate() {
    this.version += 1;
    for (const query of this.state.queries.values()) query.cells.clear();
    this.refresh();
  }

  // What is missing, the reference first: the others are compared with it.
  next() {
    if (!this.state.supports.size) return null;
    const { reference } = this.state.about;
    const shown = this.shown().sort((a, b) => (b === reference) - (a === reference));
    for (const [key, query] of this.state.queries) {
      for (const masking of shown) if (!query.cells.has(masking)) return [key, query, masking];
    }
    return null;
  }

  async run() {
    if (this.running) return;
    this.running = true;
    let place;
    while ((place = this.next())) {
      const [key, query, masking] = place;
      const version = this.version;
      let found;
      try {
        found = await this.predict(key, masking);
      } catch (error) {
        found = { error: error.message };
        if (version === this.version && this.state.queries.has(key)) complain(error);
      }
      if (version !== this.version) continue;
      query.cells.set(masking, found);
      this.draw();
    }
    this.running = false;
    this.draw();
  }

  refresh() {
    this.draw();
    this.run();
  }

  draw() {
    const { supports, queries } = this.state;
    const shown = this.shown();
    const all = [...queries.values()].flatMap((query) => shown.map((name) => query.cells.get(name)));
    const done = all.filter(Boolean).length;
    const status = $("#status");
    const lacks = [!supports.size && "a support", !queries.size && "a query"].filter(Boolean).join(" and ");
    status.textContent = lacks ? `Masks appear here as soon as there is ${lacks}.` : done < all.length ? `Segmenting: ${done} of ${all.length} done` : "";
    status.classList.toggle("busy", !lacks && done < all.length);
    $("#note").hidden = Boolean(lacks);
    this.legend(!lacks);
    $("#rows").replaceChildren(
      ...(lacks && !queries.size ? [] : [...queries].map(([key, query]) => this.row(key, query, shown))),
    );
    if (!supports.size) $("#rows").replaceChildren();
  }

  row(key, query, shown) {
    const cells = make("div", { class: "pictures" });
    for (const name of shown) cells.append(this.figure(query, name));
    return make("div", { class: "query" }, make("h3", {}, query.name), cells);
  }

  // The figure that is there already where nothing has changed: its pictures need not be loaded again.
  figure(query, name) {
    const [found, view] = [query.cells.get(name), this.view];
    const before = query.figures.get(name);
    if (before && before.found === found && before.view === view) return before.element;
    const element = this.cell(query, name, found);
    query.figures.set(name, { found, view, element });
    return element;
  }

  cell(query, name, found) {
    const caption = make("figcaption", {}, make("b", {}, make("i", { class: `dot ${name}` }), name));
    const figure = make("figure", { class: "cell" });
    figure.dataset.masking = name;
    if (!found) {
      figure.append(stack(query.photo, null, "", "waiting"), caption);
      caption.append(make("span", {}, "…"));
      return figure;
    }
    if (found.error) {
      figure.append(stack(query.photo, null, query.name, "failed"), caption);
      caption.append(make("span", {}, "no result"));
      return figure;
    }
    const alt = `${query.name}, ${name} masking: ${this.view}`;
    const layer = this.view === "change" ? found.change : found[this.view];
    figure.append(stack(query.photo, layer ?? found.overlay, alt, layer ? this.view : "overlay"), caption);
    const marked = found.classes.reduce((sum, each) => sum + each.share, 0);
    const { reference } = this.state.about;
    const same = found.agreement === null ? "the reference" : `IoU with ${reference} ${found.agreement.toFixed(2)}`;
    const absent = found.classes.filter((each) => each.absent).map((each) => each.name);
    if (absent.length) caption.append(make("span", {}, `not there: ${absent.join(", ")}`));
    caption.append(make("span", {}, `${percent(marked)} marked`), make("span", {}, same), this.links(query, name, found));
    return figure;
  }

  links(query, masking, found) {
    const stem = query.name.replace(/\.[^.]*$/, "");
    const link = (text, key, end) =>
      make("a", { href: `/results/${key}?save`, download: `${stem}_${masking}${end}.png`, title: `Save the ${text} at the image's own size` }, text);
    return make("span", { class: "links" }, link("mask", found.file, ""), link("overlay", found.overlay_file, "_overlay"));
  }

  legend(useful) {
    const item = (colour, text) => {
      const dot = make("i", { class: "dot" });
      if (colour.startsWith("#")) dot.style.background = colour;
      else dot.classList.add(colour);
      return make("span", {}, dot, text);
    };
    const names = [...new Set([...this.state.supports.values()].map((support) => support.name))];
    const items = {
      change: [
        item("gained", `marked by this one only`),
        item("lost", `marked by ${this.state.about.reference} only`),
        item("kept", "marked by both"),
      ],
      probability: [make("span", { class: "scale" }, "0", make("i", { class: "ramp" }), "1"), make("span", {}, "of the likeliest class; marked above one half, where one support shows it")],
    }[this.view] ?? names.map((name) => item(this.colourOf(name), name));
    $("#legend").replaceChildren(...(useful ? items : []));
  }
}
