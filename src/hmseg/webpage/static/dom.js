// A few helpers; text is always set as text, never as HTML.

export const $ = (selector, root = document) => root.querySelector(selector);

export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "class") element.className = value;
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name in element) element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

export function complain(error) {
  const message = typeof error === "string" ? error : error.message;
  const box = $("#alert");
  $("p", box).textContent = message.charAt(0).toUpperCase() + message.slice(1);
  box.hidden = false;
}

export function allIsWell() {
  $("#alert").hidden = true;
}

export const percent = (share) => `${(100 * share).toFixed(share < 0.1 ? 1 : 0)}\u00a0%`;

// A photo that the browser has itself, with a result of the server's on top of it.
export function stack(photo, layer, alt, kind = "") {
  const box = make("div", { class: `stack ${kind}` });
  if (photo) box.append(make("img", { class: "photo", src: photo.url, alt: layer ? "" : alt }));
  if (layer) box.append(make("img", { class: "layer", src: `/results/${layer}`, alt }));
  if (photo) box.style.aspectRatio = `${photo.width} / ${photo.height}`;
  return box;
}

// Files dropped on, or chosen in, a label with a file input.
export function onFiles(label, take) {
  const input = $("input", label);
  input.addEventListener("change", () => {
    const files = [...input.files];
    input.value = "";
    take(files);
  });
  label.addEventListener("dragover", (event) => {
    event.preventDefault();
    label.classList.add("over");
  });
  label.addEventListener("dragleave", () => label.classList.remove("over"));
  label.addEventListener("drop", (event) => {
    event.preventDefault();
    label.classList.remove("over");
    take([...event.dataTransfer.files]);
  });
}
