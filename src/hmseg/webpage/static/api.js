// Talks to the server of this page: one session per page, errors as one message.

let session = null;
let limits = null;

export class Refused extends Error {}

async function call(method, path, body, headers = {}) {
  if (session) headers["X-Hmseg-Session"] = session;
  let answer;
  try {
    answer = await fetch(path, { method, body, headers, credentials: "omit" });
  } catch {
    throw new Refused("The server can't be reached: look at the terminal in which hmseg.app was started.");
  }
  if (answer.status === 204) return null;
  const text = await answer.text();
  let found;
  try {
    found = JSON.parse(text);
  } catch {
    found = { error: text.trim() };
  }
  if (!answer.ok) throw new Refused(found.error || `The server answered ${answer.status}.`);
  return found;
}

export const ask = (path, wanted) =>
  call("POST", path, JSON.stringify(wanted), { "Content-Type": "application/json" });
export const send = (path, file) => call("POST", path, file, { "Content-Type": "application/octet-stream" });
export const remove = (path) => call("DELETE", path);

export async function begin() {
  const about = await call("GET", "/api/about");
  limits = about.limits;
  session = (await call("POST", "/api/sessions")).session;
  addEventListener("pagehide", () => {
    fetch("/api/sessions", { method: "DELETE", headers: { "X-Hmseg-Session": session }, keepalive: true });
  });
  return about;
}

// What is too large is not even read.
function checkSize(file) {
  if (file.size > limits.max_bytes) {
    throw new Refused(
      `this file has ${(file.size / 1e6).toFixed(1)} MB, more than the ${limits.max_mb} MB that are taken: ` +
        "save it smaller, or start the page with a larger max_mb=…",
    );
  }
}

async function sendFile(path, file) {
  try {
    checkSize(file);
    return await send(path, file);
  } catch (error) {
    throw new Refused(`“${file.name}”: ${error.message}`);
  }
}

export const sendImage = (file) => sendFile("/api/images", file);

// What a mask or annotation file marks, as a picture that is opaque there, and the class's name: the server reads
// it, as the other programs do.
export async function readMask(file, wanted) {
  const { mask, name } = await sendFile(`/api/masks?${new URLSearchParams(wanted)}`, file);
  return { name, mask: await (await fetch(`/results/${mask}`, { credentials: "omit" })).blob() };
}
