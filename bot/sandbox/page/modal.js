// The person's open modals: the top one as a dialog, its inputs kept while the app changes it.
import { renderBlocks, text } from "./blocks.js";
import { valueOf } from "./choosers.js";
import { h, icon } from "./dom.js";
import { act, store } from "./store.js";

let dialog = null;
let shown = ""; // id and hash of the view on the screen

/** Bring the screen in line with the stack of views. */
export function drawModal() {
  const view = store.views.at(-1);
  const name = view ? `${view.id} ${view.hash}` : "";
  if (name === shown) return;
  const kept = dialog && view && shown.startsWith(view.id) ? valuesOf(dialog) : {};
  const focused = dialog?.contains(document.activeElement) ? document.activeElement.dataset.actionId : null;
  dialog?.remove();
  dialog = null;
  shown = name;
  if (!view) return;
  dialog = build(view);
  document.body.append(dialog);
  fill(dialog, kept);
  dialog.showModal();
  const first = dialog.querySelector(focused ? `[data-action-id="${CSS.escape(focused)}"]` : ".modal-body input, .modal-body textarea, .modal-body select");
  first?.focus();
}

function build(view) {
  const close = async () => {
    shown = "";
    dialog?.remove();
    dialog = null;
    await act("close", { view_id: view.id });
  };
  const form = h("form", { onsubmit: (event) => { event.preventDefault(); submit(view); } },
    h("header", { class: "modal-head" },
      h("h2", { id: `title-${view.id}` }, text(view.title)),
      h("button", { type: "button", class: "icon-button", "aria-label": "Close", data: { testid: "modal-x" }, onclick: close }, icon("close"))),
    h("div", { class: "modal-body" }, renderBlocks(view.blocks, { view: view.id })),
    h("p", { class: "modal-error", role: "alert", hidden: true }),
    h("footer", { class: "modal-foot" },
      h("button", { type: "button", class: "button", data: { testid: "modal-close" }, onclick: close }, view.close ? text(view.close) : view.submit ? "Cancel" : "Close"),
      view.submit ? h("button", { type: "submit", class: "button primary", data: { testid: "modal-submit" } }, h("span", { class: "button-text" }, text(view.submit))) : null));
  return h("dialog", {
    class: "modal", "aria-labelledby": `title-${view.id}`, data: { testid: "modal", viewId: view.id, callbackId: view.callback_id },
    oncancel: (event) => { event.preventDefault(); close(); },
  }, form);
}

function controls(root) {
  return [...root.querySelectorAll(".input [data-kind]")];
}

function valuesOf(root) {
  return Object.fromEntries(controls(root).map((node) => [node.dataset.blockId, valueOf(node)]));
}

function fill(root, kept) {
  for (const node of controls(root)) {
    const value = kept[node.dataset.blockId];
    if (value === undefined || value === null) continue;
    const boxes = node.querySelectorAll("input[type=radio], input[type=checkbox]");
    if (boxes.length) boxes.forEach((box) => (box.checked = [value].flat().includes(box.value)));
    else if (typeof value === "string") node.value = value;
  }
}

async function submit(view) {
  const mine = dialog;
  clearErrors(mine);
  const values = valuesOf(mine);
  const missing = [...mine.querySelectorAll("[data-required]")].filter((block) => {
    const value = values[block.dataset.input];
    return value === null || value.length === 0;
  });
  missing.forEach((block) => showError(block, "Please complete this required field."));
  if (missing.length) {
    missing[0].querySelector("input, textarea, select")?.focus();
    return;
  }
  const button = mine.querySelector("[type=submit]");
  button.dataset.state = "working";
  button.disabled = true;
  const given = Object.fromEntries(Object.entries(values).map(([block, value]) => [block, value ?? ""]).filter(([, value]) => value !== ""));
  const outcome = await act("submit", { view_id: view.id, values: given });
  button.disabled = false;
  button.dataset.state = "idle";
  if (outcome.ok) return;
  for (const [block, sentence] of Object.entries(outcome.errors ?? {})) {
    showError(mine.querySelector(`[data-input="${CSS.escape(block)}"]`), sentence);
  }
  if (!outcome.errors) {
    const line = mine.querySelector(".modal-error");
    line.textContent = outcome.said ?? outcome.error;
    line.hidden = false;
  }
}

function showError(block, sentence) {
  const line = block.querySelector(".input-error");
  line.textContent = sentence;
  line.hidden = false;
  block.classList.add("wrong");
}

function clearErrors(root) {
  root.querySelectorAll(".input-error, .modal-error").forEach((line) => (line.hidden = true));
  root.querySelectorAll(".wrong").forEach((block) => block.classList.remove("wrong"));
}
