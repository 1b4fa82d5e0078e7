// What the network compares: similarity to a point of a query, and where hybrid masking fills in.

import { $, complain, make, percent, stack } from "./dom.js";

const DEPTHS = { 2: "fine", 3: "middle", 4: "deep" };

export class Inside {
  constructor(state, ask, maskings) {
    this.state = state;
    this.ask = ask;
    this.maskings = maskings;
    this.point = [0.5, 0.5];
    this.turn = 0; // counts requests: late answers to older ones are dropped
    const levels = state.about.levels;
    const first = levels.includes(3) ? 3 : levels[0];
    for (const level of [...levels].sort()) {
      const box = make("input", { type: "radio", name: "level", value: level, checked: level === first });
      $("#levels").append(make("label", { title: `Level ${level} of the backbone` }, box, DEPTHS[level] ?? `level ${level}`));
    }
    for (const place of ["#levels", "#inside-support", "#inside-query"]) $(place).addEventListener("change", () => this.compute());
    this.asked = $("#asked");
    this.asked.addEventListener("click", (event) => {
      const box = this.asked.getBoundingClientRect();
      this.move((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
    });
    this.asked.addEventListener("keydown", (event) => this.key(event));
  }

  get level() {
    return Number($("input[name=level]:checked").value);
  }

  key(event) {
    const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    if (!(event.key in steps)) return;
    event.preventDefault();
    const length = event.shiftKey ? 0.1 : 0.03;
    const [dx, dy] = steps[event.key];
    this.move(this.point[0] + dx * length, this.point[1] + dy * length);
  }

  move(x, y) {
    this.point = [x, y].map((value) => Math.min(1, Math.max(0, value)));
    this.correlate(++this.turn);
  }

  refresh() {
    const { supports, queries } = this.state;
    const count = {};
    fill($("#inside-support"), [...supports].map(([key, { name }]) => [key, `${name} ${(count[name] = (count[name] ?? 0) + 1)}`]));
    fill($("#inside-query"), [...queries].map(([key, { name }]) => [key, name]));
    const ready = supports.size > 0 && queries.size > 0;
    $("#inside-empty").hidden = ready;
    for (const place of ["#inside-body", "#inside-tools"]) $(place).hidden = !ready;
    if (ready) this.compute();
    else this.turn += 1;
  }

  async compute() {
    const turn = ++this.turn;
    await this.correlate(turn);
    await this.fillings(turn);
  }

  chosen() {
    const support = $("#inside-support").value;
    const query = $("#inside-query").value;
    return { support, query, photo: this.state.supports.get(support)?.photo, asked: this.state.queries.get(query) };
  }

  async correlate(turn) {
    const { support, query, photo, asked } = this.chosen();
    if (!photo || !asked) return;
    const [x, y] = this.point;
    $("img", this.asked).src = asked.photo.url;
    this.asked.style.aspectRatio = `${asked.photo.width} / ${asked.photo.height}`;
    $("#point").style.left = percentage(x);
    $("#point").style.top = percentage(y);
    $("#point-text").textContent = `point ${Math.round(x * asked.photo.width)}, ${Math.round(y * asked.photo.height)}`;
    const place = $("#correlation");
    place.setAttribute("aria-busy", "true");
    const figures = [];
    for (const masking of this.maskings()) {
      const found = await this.answer("/api/correlations", { support, query, masking, level: this.level, x, y }, turn);
      if (!found) return;
      const text = `most: cosine ${found.most.toFixed(2)}`;
      figures.push(picture(photo, found.heat, masking, text, `Similarity of the support under ${masking} masking to the point`));
    }
    while (place.children.length > 1) place.lastElementChild.remove(); // the query stays: it may have the focus
    place.append(...figures);
    place.setAttribute("aria-busy", "false");
  }

  async fillings(turn) {
    const { support, photo } = this.chosen();
    if (!photo) return;
    const found = await this.answer("/api/fillings", { support, level: this.level }, turn);
    if (!found) return;
    const names = Object.keys(found.activation);
    const figures = names.map((name) =>
      picture(photo, found.activation[name], name, "strength of the features", `Strength of the support's features under ${name} masking`),
    );
    figures.unshift(picture(photo, found.filled, "hybrid", "where its features are from", "Where hybrid masking took which features", true));
    $("#filling").replaceChildren(...figures);
    const text = $("#filling-text");
    text.replaceChildren(
      "First picture: ", make("span", { class: "scale" }, "the image's own features", make("i", { class: "ramp shares" }), "those of the masked image."),
      ` Inside the mask ${percent(found.share)} are filled in, outside it all. Then what each masking leaves: bright is strong.`,
    );
  }

  async answer(path, wanted, turn) {
    if (turn !== this.turn) return null;
    try {
      const found = await this.ask(path, wanted);
      return turn === this.turn ? found : null;
    } catch (error) {
      if (turn === this.turn) complain(error);
      return null;
    }
  }
}

const percentage = (share) => `${100 * share}%`;

function picture(photo, layer, masking, text, alt, through = false) {
  const box = stack(photo, layer, alt, through ? "origin" : "heat");
  return make("figure", {}, box, make("figcaption", {}, make("b", {}, make("i", { class: `dot ${masking}` }), masking), make("span", {}, text)));
}

// Options of a list, the chosen one kept where it is still there.
function fill(list, options) {
  const before = list.value;
  list.replaceChildren(...options.map(([value, text]) => make("option", { value }, text)));
  if (options.some(([value]) => value === before)) list.value = before;
}
