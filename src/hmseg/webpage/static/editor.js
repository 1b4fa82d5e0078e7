// Paints the mask of a support image: brush, outline, eraser, undo, by pointer or keyboard.

import { $ } from "./dom.js";

export const LONGEST = 1280; // pixels a side of canvas and photo; the server scales the mask to the image
const UNDOS = 12;

export class Editor {
  constructor(root, colour) {
    this.photo = $("#photo", root);
    this.canvas = $("#mask", root);
    this.cursor = $("#cursor", root);
    this.size = $("#size", root);
    this.root = root;
    this.colour = colour;
    this.history = [];
    this.stroke = null;
    this.at = null; // of the keyboard
    this.context = this.canvas.getContext("2d", { willReadFrequently: true });
    this.listen();
  }

  get tool() {
    return $("input[name=tool]:checked", this.root).value;
  }

  choose(tool) {
    $(`input[name=tool][value=${tool}]`, this.root).checked = true;
  }

  open(url, width, height) {
    const scale = Math.min(1, LONGEST / Math.max(width, height));
    this.canvas.width = Math.max(1, Math.round(width * scale));
    this.canvas.height = Math.max(1, Math.round(height * scale));
    this.canvas.parentElement.style.setProperty("--ratio", width / height);
    this.photo.src = url;
    this.history = [];
    this.at = this.stroke = null;
    this.resize(32);
  }

  listen() {
    const canvas = this.canvas;
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      canvas.setPointerCapture(event.pointerId);
      this.at = null;
      this.begin(this.place(event));
    });
    canvas.addEventListener("pointermove", (event) => {
      this.showCursor(this.place(event));
      if (!this.stroke) return;
      const all = event.getCoalescedEvents?.() ?? [];
      for (const each of all.length ? all : [event]) this.go(this.place(each));
    });
    for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, () => this.end());
    canvas.addEventListener("pointerleave", () => !this.stroke && (this.cursor.hidden = true));
    canvas.addEventListener("blur", () => (this.cursor.hidden = true));
    canvas.addEventListener("keydown", (event) => this.key(event));
    canvas.addEventListener("keyup", (event) => event.key === " " && this.end());
    this.size.addEventListener("input", () => this.resize(Number(this.size.value)));
    $("#undo", this.root).addEventListener("click", () => this.undo());
    $("#clear", this.root).addEventListener("click", () => this.clear());
  }

  place(event) {
    const box = this.canvas.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    return [(x / box.width) * this.canvas.width, (y / box.height) * this.canvas.height];
  }

  // Pixels of the canvas for one of the screen: the brush keeps its size on the screen.
  get zoom() {
    return this.canvas.width / (this.canvas.getBoundingClientRect().width || this.canvas.width);
  }

  resize(size) {
    this.size.value = size;
    $("output", this.root).textContent = this.size.value;
    if (this.at) this.showCursor(this.at);
  }

  showCursor([x, y]) {
    const size = Math.max(6, this.tool === "outline" ? 6 : Number(this.size.value));
    const style = this.cursor.style;
    style.width = style.height = `${size}px`;
    style.left = `${x / this.zoom}px`;
    style.top = `${y / this.zoom}px`;
    this.cursor.hidden = false;
  }

  begin(point) {
    this.remember();
    this.stroke = [point];
    this.go(point);
  }

  go(point) {
    const last = this.stroke.at(-1);
    this.stroke.push(point);
    const context = this.context;
    const outline = this.tool === "outline";
    context.globalCompositeOperation = this.tool === "eraser" ? "destination-out" : "source-over";
    context.strokeStyle = this.colour();
    context.lineCap = context.lineJoin = "round";
    context.lineWidth = outline ? 2 * this.zoom : Number(this.size.value) * this.zoom;
    context.beginPath();
    context.moveTo(...last);
    context.lineTo(...point);
    context.stroke();
  }

  end() {
    if (!this.stroke) return;
    if (this.tool === "outline") {
      const context = this.context;
      context.fillStyle = this.colour();
      context.beginPath();
      for (const point of this.stroke) context.lineTo(...point);
      context.closePath();
      context.fill();
    }
    this.stroke = null;
    this.changed();
  }

  key(event) {
    const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const tools = { b: "brush", o: "outline", e: "eraser" };
    const { width, height } = this.canvas;
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "z") this.undo();
    else if (event.ctrlKey || event.metaKey || event.altKey) return;
    else if (event.key in steps) {
      const step = (event.shiftKey ? 40 : 8) * this.zoom;
      const [x, y] = this.at ?? [width / 2, height / 2];
      const [dx, dy] = this.at ? steps[event.key] : [0, 0]; // the first one only shows where it is
      this.at = [Math.min(width, Math.max(0, x + dx * step)), Math.min(height, Math.max(0, y + dy * step))];
      this.showCursor(this.at);
      if (this.stroke) this.go(this.at);
    } else if (event.key === " ") {
      this.at ??= [width / 2, height / 2];
      this.showCursor(this.at);
      if (!this.stroke) this.begin(this.at);
    } else if (event.key === "[") this.resize(Number(this.size.value) - 4);
    else if (event.key === "]") this.resize(Number(this.size.value) + 4);
    else if (event.key in tools) this.choose(tools[event.key]);
    else return;
    event.preventDefault();
  }

  remember() {
    this.history.push(this.context.getImageData(0, 0, this.canvas.width, this.canvas.height));
    if (this.history.length > UNDOS) this.history.shift();
  }

  undo() {
    const before = this.history.pop();
    this.stroke = null;
    if (before) this.context.putImageData(before, 0, 0);
    this.changed();
  }

  clear() {
    this.remember();
    this.context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    this.changed();
  }

  // Takes a mask from a picture that is opaque on the object.
  async take(blob) {
    this.remember();
    await this.restore(blob);
  }

  // The class is another one now: so is the colour of what is marked.
  recolour() {
    this.context.globalCompositeOperation = "source-in";
    this.context.fillStyle = this.colour();
    this.context.fillRect(0, 0, this.canvas.width, this.canvas.height);
  }

  // Shows a mask that was painted before.
  async restore(blob) {
    const bitmap = await createImageBitmap(blob);
    this.context.globalCompositeOperation = "copy";
    this.context.imageSmoothingEnabled = false;
    this.context.drawImage(bitmap, 0, 0, this.canvas.width, this.canvas.height);
    bitmap.close();
    this.recolour();
    this.changed();
  }

  get empty() {
    const { data } = this.context.getImageData(0, 0, this.canvas.width, this.canvas.height);
    for (let index = 3; index < data.length; index += 4) if (data[index] > 127) return false;
    return true;
  }

  blob() {
    return new Promise((done) => this.canvas.toBlob(done, "image/png"));
  }

  changed() {
    this.root.dispatchEvent(new Event("mask"));
  }
}
