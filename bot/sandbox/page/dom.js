// Building nodes. Text always becomes a text node: nothing that a message says can become markup.

/** An element: h("button", { class: "x", onclick: f, data: { ts } }, child, "text", null). */
export function h(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(props ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (key === "class") node.className = value;
    else if (key === "data") Object.assign(node.dataset, clean(value));
    else if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (key in node && typeof value === "boolean") node[key] = value;
    else node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

function clean(data) {
  return Object.fromEntries(Object.entries(data).filter(([, value]) => value !== undefined && value !== null));
}

const PATHS = {
  hourglass: "M6 2h12M6 22h12M7 2v4.5c0 2.4 5 4 5 5.5s-5 3.1-5 5.5V22M17 2v4.5c0 2.4-5 4-5 5.5s5 3.1 5 5.5V22",
  menu: "M4 6h16M4 12h16M4 18h16",
  close: "M6 6l12 12M18 6L6 18",
  back: "M15 5l-7 7 7 7",
  send: "M4 12l16-8-6 16-3-7z",
  reply: "M20 12c0 4.4-3.8 7-8 7-1.3 0-2.6-.3-3.8-.8L4 19.500l1.200-3.600C4.400 14.800 4 13.500 4 12c0-4.400 3.800-7 8-7s8 2.600 8 7z",
  hash: "M9 4L7 20M17 4l-2 16M4.500 9h16M3.500 15h16",
  warn: "M12 4l9 16H3zM12 10v4.500M12 17.200v.3",
  again: "M20 12a8 8 0 1 1-2.500-5.800M20 4v4.500h-4.500",
  phone: "M8 3h8a1 1 0 0 1 1 1v16a1 1 0 0 1-1 1H8a1 1 0 0 1-1-1V4a1 1 0 0 1 1-1zM11 18h2",
  eye: "M3 12s3.300-6 9-6 9 6 9 6-3.300 6-9 6-9-6-9-6zM12 14.500a2.500 2.500 0 1 0 0-5 2.500 2.500 0 0 0 0 5z",
  file: "M7 3h7l4 4v14H7zM14 3v4h4",
};

/** A line icon by name; decoration only, its button carries the words. */
export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  svg.classList.add("icon");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", PATHS[name]);
  svg.append(path);
  return svg;
}

/** The picture beside a name: initials, or the hourglass for the app. */
export function avatar(user, size = "") {
  if (!user) return h("span", { class: `avatar hue-0 ${size}`, "aria-hidden": "true" }, "?");
  if (user.bot) return h("span", { class: `avatar app ${size}`, "aria-hidden": "true" }, icon("hourglass"));
  const words = user.real_name.split(" ");
  const initials = (words[0][0] + (words[1]?.[0] ?? "")).toUpperCase();
  const hue = [...user.name].reduce((sum, letter, at) => sum + letter.charCodeAt(0) * (2 * at + 1), 0) % 6;
  return h("span", { class: `avatar hue-${hue} ${size}`, "aria-hidden": "true" }, initials);
}

/** A notice at the edge of the screen that leaves by itself. */
export function toast(text, kind = "bad") {
  const node = h("div", { class: `toast ${kind}`, data: { testid: "toast" } }, kind === "bad" ? icon("warn") : null, text);
  document.getElementById("toasts").append(node);
  setTimeout(() => node.remove(), 6000);
}
