// The page: supports, queries, and what is to be computed when they change.

import { ask, begin, readMask, remove, send, sendImage } from "./api.js";
import { $, allIsWell, complain, make, onFiles, percent, stack } from "./dom.js";
import { Editor, LONGEST } from "./editor.js";
import { Inside } from "./inside.js";
import { Results } from "./results.js";

const state = {
  about: null,
  supports: new Map(), // by the server's key: {image, name, share, photo, mask, layer}
  queries: new Map(), // likewise: {name, photo, cells, figures}
};
let editor = null;
let results = null;
let inside = null;
let open = null; // the support image in the editor: {file, photo, image}

const colourOf = (name) => {
  const names = classes();
  const place = names.includes(name) ? names.indexOf(name) : names.length;
  return state.about.colours[place % state.about.colours.length];
};
const classes = () => [...new Set([...state.supports.values()].map((support) => support.name))];
const nameNow = () => $("#class-name").value.trim().replace(/\s+/g, " ") || "object";

// An image that the browser shows by itself, large ones made smaller; the server never sends it back.
async function photoOf(file) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file);
  } catch {
    throw new Error(`“${file.name}”: this file is no image that the browser can show: give a PNG, JPEG or WebP`);
  }
  const { width, height } = bitmap;
  const shown = Math.max(width, height) > LONGEST ? await smaller(bitmap) : file;
  bitmap.close();
  return { url: URL.createObjectURL(shown), width, height };
}

function smaller(bitmap) {
  const scale = LONGEST / Math.max(bitmap.width, bitmap.height);
  const canvas = make("canvas", { width: Math.round(bitmap.width * scale), height: Math.round(bitmap.height * scale) });
  canvas.getContext("2d").drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  return new Promise((done) => canvas.toBlob(done, "image/jpeg", 0.92));
}

async function attempt(work) {
  try {
    return await work();
  } catch (error) {
    complain(error);
    return null;
  }
}

async function take(file) {
  const sent = await sendImage(file); // first: the browser is not asked to decode what is refused
  return { file, image: sent.image, photo: await photoOf(file) };
}

// Supports

async function openSupport(files) {
  if (!files.length) return;
  allIsWell();
  const button = $("#support-drop");
  button.classList.add("busy");
  const taken = await attempt(() => take(files[0]));
  button.classList.remove("busy");
  if (!taken) return;
  if (open) await discard();
  open = taken;
  edit();
  if (files.length > 1) complain("One support image at a time: the first one is open. Queries can be dropped together.");
}

function edit() {
  editor.open(open.photo.url, open.photo.width, open.photo.height);
  $("#support-drop").hidden = true;
  $("#easel").hidden = false;
  $("#use").disabled = true;
  editor.canvas.focus({ preventScroll: true });
}

function close() {
  open = null;
  $("#easel").hidden = true;
  $("#support-drop").hidden = false;
}

async function discard() {
  const { image, photo } = open;
  close();
  URL.revokeObjectURL(photo.url);
  await attempt(() => remove(`/api/images/${image}`));
}

const takeMask = (file) =>
  attempt(async () => {
    const wanted = { image: open.image, file: open.file.name, name: nameNow(), reading: $("#reading").value };
    const found = await readMask(file, wanted);
    if (found.name !== nameNow()) $("#class-name").value = found.name; // an annotation file names it
    await editor.take(found.mask);
  });

async function use() {
  const name = nameNow();
  const mask = await editor.blob();
  const query = new URLSearchParams({ image: open.image, name });
  const added = await attempt(() => send(`/api/supports?${query}`, mask));
  if (!added) return;
  allIsWell();
  state.supports.set(added.support, { ...open, name: added.name, share: added.share, mask });
  close();
  supportsChanged();
}

async function reopen(key) {
  const support = state.supports.get(key);
  if (open) await discard();
  if ((await attempt(async () => [await remove(`/api/supports/${key}`)])) === null) return;
  state.supports.delete(key);
  open = { file: support.file, image: support.image, photo: support.photo };
  $("#class-name").value = support.name;
  edit();
  await editor.restore(support.mask);
  supportsChanged();
}

async function dropSupport(key) {
  const support = state.supports.get(key);
  if ((await attempt(async () => [await remove(`/api/images/${support.image}`)])) === null) return;
  state.supports.delete(key); // after the server's: what is computed from now on is without it
  supportsChanged();
  URL.revokeObjectURL(support.photo.url);
}

function supportsChanged() {
  const list = $("#supports");
  list.replaceChildren(
    ...[...state.supports].map(([key, support]) => {
      const preview = stack(support.photo, null, `Support of ${support.name}`);
      const url = URL.createObjectURL(support.mask);
      preview.append(make("img", { class: "layer painted", src: url, alt: "", onload: () => URL.revokeObjectURL(url) }));
      const dot = make("i", { class: "dot" });
      dot.style.background = colourOf(support.name);
      return make(
        "li",
        {},
        preview,
        make("p", {}, make("b", {}, dot, support.name), ` ${percent(support.share)} of the image`),
        make(
          "div",
          { class: "buttons" },
          make("button", { type: "button", onclick: () => reopen(key) }, "Edit"),
          make("button", { type: "button", onclick: () => dropSupport(key), title: `Remove this support of ${support.name}` }, "Remove"),
        ),
      );
    }),
  );
  $("#support-drop strong").textContent = state.supports.size ? "Drop another support image" : "Drop a support image here";
  $("#support-drop").classList.toggle("slim", state.supports.size > 0);
  $("#class-names").replaceChildren(...classes().map((name) => make("option", { value: name })));
  results.outdate();
  inside.refresh();
}

// Queries

async function addQueries(files) {
  allIsWell();
  const refused = [];
  for (const file of files) {
    try {
      const { image, photo } = await take(file);
      state.queries.set(image, { name: file.name, photo, cells: new Map(), figures: new Map() });
      queriesChanged();
    } catch (error) {
      refused.push(error.message);
    }
  }
  if (refused.length) complain(refused.length === 1 ? refused[0] : `${refused.length} files were refused. ${refused[0]}`);
}

async function dropQuery(key) {
  const query = state.queries.get(key);
  state.queries.delete(key);
  queriesChanged();
  await attempt(() => remove(`/api/images/${key}`));
  URL.revokeObjectURL(query.photo.url);
}

function queriesChanged() {
  $("#queries").replaceChildren(
    ...[...state.queries].map(([key, query]) =>
      make(
        "li",
        {},
        stack(query.photo, null, query.name),
        make("button", { type: "button", class: "plain", onclick: () => dropQuery(key), title: `Remove ${query.name}`, "aria-label": `Remove ${query.name}` }, "✕"),
      ),
    ),
  );
  $("#query-drop").classList.toggle("slim", state.queries.size > 0);
  results.refresh();
  inside.refresh();
}

// Start

function tell(about) {
  const facts = {
    network: `${about.model} on ${about.backbone}`,
    "trained with": `${about.own} masking`,
    "sees images at": `${about.side} × ${about.side}`,
    device: about.device,
  };
  $("#about").replaceChildren(
    ...Object.entries(facts).map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value))),
  );
  const million = (about.limits.max_pixels / 1e6).toLocaleString("en", { maximumFractionDigits: 1 });
  for (const place of document.querySelectorAll(".limit")) {
    place.textContent = `, at most ${about.limits.max_mb} MB and ${million} million pixels`;
  }
}

function listen() {
  onFiles($("#support-drop"), openSupport);
  onFiles($("#query-drop"), addQueries);
  onFiles($("#mask-file").parentElement, (files) => files.length && takeMask(files[0]));
  for (const name of ["dragover", "drop"]) addEventListener(name, (event) => event.preventDefault()); // not to leave the page
  $("#easel").addEventListener("mask", () => ($("#use").disabled = editor.empty));
  $("#easel").addEventListener("dragover", (event) => event.preventDefault());
  $("#easel").addEventListener("drop", (event) => {
    event.preventDefault();
    const [file] = event.dataTransfer.files;
    if (file) takeMask(file);
  });
  $("#naming").addEventListener("submit", (event) => {
    event.preventDefault();
    use();
  });
  $("#class-name").addEventListener("change", () => editor.recolour());
  $("#discard").addEventListener("click", discard);
  $("#alert button").addEventListener("click", allIsWell);
}

async function start() {
  state.about = await begin();
  tell(state.about);
  editor = new Editor($("#easel"), () => colourOf(nameNow()));
  results = new Results(state, colourOf, (query, masking) => ask("/api/predictions", { query, masking }));
  inside = new Inside(state, ask, () => results.shown());
  results.onMaskings = () => inside.refresh();
  listen();
  results.refresh();
  inside.refresh();
  document.body.dataset.ready = "yes";
}

attempt(start);
