// Block Kit as nodes. `place` says where the blocks stand: { channel, ts } of a message or { view } of a modal.
import { chooser } from "./choosers.js";
import { h, icon, toast } from "./dom.js";
import { openImage } from "./lightbox.js";
import { markdown, richText } from "./markdown.js";
import { mrkdwn, plain } from "./mrkdwn.js";
import { act } from "./store.js";

/** A composition object of text. */
export function text(object) {
  if (!object) return [];
  return object.type === "mrkdwn" ? mrkdwn(object.text) : plain(object.text);
}

/** All blocks, in order. */
export function renderBlocks(blocks, place) {
  return blocks.map((block) => {
    const body = RENDER[block.type]?.(block, place) ?? h("p", { class: "quiet" }, `(${block.type})`);
    body.dataset.blockId = block.block_id;
    return body;
  });
}

const RENDER = {
  divider: () => h("hr", { class: "block" }),
  header: (block) => h("p", { class: "block block-header", role: "heading", "aria-level": 3 }, text(block.text)),
  section: (block, place) => {
    const fields = (block.fields ?? []).map((field) => h("div", { class: "field" }, lines(text(field))));
    return h("div", { class: "block block-section" },
      h("div", { class: "section-body" },
        block.text ? h("div", { class: "text" }, lines(text(block.text))) : null,
        fields.length ? h("div", { class: "fields" }, fields) : null),
      block.accessory ? h("div", { class: "accessory" }, element(block.accessory, block, place)) : null);
  },
  context: (block) => h("div", { class: "block block-context" }, block.elements.map((one) =>
    one.type === "image" ? h("img", { class: "context-image", src: source(one), alt: one.alt_text }) : h("span", {}, text(one)))),
  actions: (block, place) => h("div", { class: "block block-actions" }, block.elements.map((one) => element(one, block, place))),
  image: (block) => picture(source(block), block.alt_text, block.title ? text(block.title) : null),
  markdown: (block) => h("div", { class: "block markdown" }, markdown(block.text)),
  rich_text: (block) => h("div", { class: "block markdown" }, richText(block.elements)),
  table: (block) => h("div", { class: "block markdown" }, h("table", {}, h("tbody", {}, block.rows.map((row) =>
    h("tr", {}, row.map((cell) => h("td", {}, cell.type === "raw_text" ? cell.text : richText(cell.elements)))))))),
  input: (block, place) => input(block, place),
};

const lines = (nodes) => nodes.flatMap((node) =>
  typeof node === "string" ? node.split("\n").flatMap((part, index) => (index ? [h("br"), part] : [part])) : [node]);

/** Where an image block's picture comes from. */
function source(block) {
  if (block.image_url) return block.image_url;
  const id = block.slack_file.id ?? /-(F[A-Z0-9]+)\//.exec(block.slack_file.url)?.[1];
  return `/page/files/${id}`;
}

/** A picture that grows when it is clicked. */
export function picture(src, alt, title) {
  return h("figure", { class: "block picture" },
    title ? h("figcaption", {}, title) : null,
    h("button", { type: "button", class: "picture-button", "aria-label": `Enlarge: ${alt}`, onclick: () => openImage(src, alt) },
      h("img", { src, alt, loading: "lazy" })));
}

function element(shape, block, place) {
  if (shape.type === "button") return button(shape, block, place);
  if (shape.type === "image") return h("img", { class: "accessory-image", src: source(shape), alt: shape.alt_text });
  return chooser(shape, block, place, (choice) => deliver(shape, block, place, "choose", { choice }));
}

function input(block, place) {
  const shape = block.element;
  const id = `input-${block.block_id}`;
  const required = !block.optional;
  const group = ["radio_buttons", "checkboxes"].includes(shape.type);
  const dispatched = (choice) => block.dispatch_action && deliver(shape, block, place, "choose", { choice });
  return h(group ? "fieldset" : "div", { class: "block input", data: { input: block.block_id, required: required ? "yes" : null } },
    h(group ? "legend" : "label", { for: group ? null : id }, text(block.label), required ? null : h("span", { class: "quiet" }, " (optional)")),
    chooser(shape, block, place, dispatched, id),
    block.hint ? h("p", { class: "hint" }, text(block.hint)) : null,
    h("p", { class: "input-error", role: "alert", hidden: true }));
}

// Presses survive the message being drawn anew: what is under way is remembered by what was pressed.
const working = new Set();
const failed = new Set();
const key = (shape, block, place) => [place.view ?? place.ts, block.block_id, shape.action_id, shape.value ?? ""].join(" ");

function button(shape, block, place) {
  const name = key(shape, block, place);
  const props = {
    type: "button",
    class: `button ${shape.style ?? ""}`,
    "aria-label": shape.accessibility_label,
    data: { actionId: shape.action_id, blockId: block.block_id, value: shape.value, key: name },
    onclick: async () => {
      if (working.has(name)) return;
      if (shape.confirm && !(await confirmed(shape.confirm))) return;
      if (shape.url) window.open(shape.url, "_blank", "noopener");
      await deliver(shape, block, place, "press", { value: shape.value });
    },
  };
  const node = h("button", props, h("span", { class: "button-text" }, text(shape.text)), icon("warn"));
  paint(node, name);
  return node;
}

function paint(node, name) {
  node.dataset.state = working.has(name) ? "working" : failed.has(name) ? "failed" : "idle";
  node.setAttribute("aria-busy", String(working.has(name)));
}

function repaint(name) {
  document.querySelectorAll("[data-key]").forEach((node) => node.dataset.key === name && paint(node, name));
}

async function deliver(shape, block, place, what, body) {
  const name = key(shape, block, place);
  working.add(name);
  failed.delete(name);
  repaint(name);
  const where = place.view ? { view_id: place.view } : { channel: place.channel, ts: place.ts };
  const outcome = await act(what, { ...where, action_id: shape.action_id, block_id: block.block_id, ...body });
  working.delete(name);
  if (!outcome.ok) {
    failed.add(name);
    toast(outcome.said ?? outcome.error);
  }
  repaint(name);
}

/** Slack's confirmation dialog; resolves to what the person chose. */
export function confirmed(shape) {
  return new Promise((resolve) => {
    const close = (answer) => () => {
      dialog.close();
      dialog.remove();
      resolve(answer);
    };
    const dialog = h("dialog", { class: "modal small", oncancel: close(false), data: { testid: "confirm" } },
      h("header", { class: "modal-head" }, h("h2", {}, text(shape.title))),
      h("div", { class: "modal-body" }, h("div", { class: "text" }, lines(text(shape.text)))),
      h("footer", { class: "modal-foot" },
        h("button", { type: "button", class: "button", onclick: close(false) }, shape.deny ? text(shape.deny) : "Cancel"),
        h("button", { type: "button", class: `button ${shape.style ?? "primary"}`, onclick: close(true) }, shape.confirm ? text(shape.confirm) : "Yes")));
    document.body.append(dialog);
    dialog.showModal();
  });
}
