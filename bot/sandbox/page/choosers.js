// Everything one can choose in or type into: selects, menus, radio groups, checkboxes, text.
import { text } from "./blocks.js";
import { h } from "./dom.js";
import { store } from "./store.js";

/** The control of an element; `chosen(choice)` is called when a person chooses (not while typing). */
export function chooser(shape, block, place, chosen, id) {
  const build = BUILD[shape.type];
  const node = build ? build(shape, chosen, id ?? null, block) : h("span", { class: "quiet" }, `(${shape.type})`);
  node.dataset.actionId = shape.action_id;
  node.dataset.blockId = block.block_id;
  node.dataset.kind = shape.type;
  return node;
}

/** What stands in a control now: a string, a list of strings, or null for nothing. */
export function valueOf(node) {
  const kind = node.dataset.kind;
  if (kind === "radio_buttons") return node.querySelector("input:checked")?.value ?? null;
  if (kind === "checkboxes") return [...node.querySelectorAll("input:checked")].map((box) => box.value);
  if (kind === "multi_static_select") return [...node.selectedOptions].map((option) => option.value);
  return node.value || null;
}

const words = (object) => (object ? text(object).map((part) => part.textContent ?? part).join("") : "");

function optionsOf(shape, selected) {
  const one = (option) => h("option", { value: option.value, selected: selected.includes(option.value) }, words(option.text));
  const groups = (shape.option_groups ?? []).map((group) => h("optgroup", { label: words(group.label) }, group.options.map(one)));
  return [...(shape.options ?? []).map(one), ...groups];
}

function select(shape, chosen, id, options, initial) {
  const empty = h("option", { value: "", disabled: !id, selected: true }, words(shape.placeholder) || "Choose…");
  const node = h("select", { class: "select", id, "aria-label": id ? null : words(shape.placeholder) || shape.action_id }, empty, options);
  node.value = initial ?? "";
  node.addEventListener("change", () => node.value && chosen(node.value));
  return node;
}

function boxes(type, shape, chosen, selected) {
  const group = crypto.randomUUID();
  const node = h("div", { class: "choices", role: type === "radio" ? "radiogroup" : "group", "aria-label": shape.action_id },
    shape.options.map((option) => h("label", { class: "choice" },
      h("input", { type, name: group, value: option.value, checked: selected.includes(option.value) }),
      h("span", {}, text(option.text), option.description ? h("small", { class: "quiet" }, text(option.description)) : null))));
  node.addEventListener("change", (event) => {
    chosen(type === "radio" ? event.target.value : [...node.querySelectorAll("input:checked")].map((box) => box.value));
  });
  return node;
}

function typed(type, shape, chosen, id, initial) {
  const node = shape.multiline
    ? h("textarea", { class: "text-input", id, rows: 4 })
    : h("input", { class: "text-input", id, type, step: shape.is_decimal_allowed ? "any" : null });
  node.value = initial ?? "";
  if (shape.placeholder) node.placeholder = words(shape.placeholder);
  if (shape.max_length) node.maxLength = shape.max_length;
  node.addEventListener("change", () => chosen(node.value));
  return node;
}

function overflow(shape, chosen) {
  const menu = h("div", { class: "menu", role: "menu", hidden: true },
    shape.options.map((option) => h("button", { type: "button", role: "menuitem", data: { value: option.value }, onclick: () => {
      toggle(false);
      if (option.url) window.open(option.url, "_blank", "noopener");
      chosen(option.value);
    } }, text(option.text), option.description ? h("small", { class: "quiet" }, text(option.description)) : null)));
  const opener = h("button", { type: "button", class: "button overflow-opener", "aria-haspopup": "menu", "aria-expanded": "false",
    "aria-label": "More actions", onclick: () => toggle(menu.hidden) }, "⋯");
  const node = h("div", { class: "overflow" }, opener, menu);
  const outside = (event) => (event.type === "keydown" ? event.key === "Escape" : !node.contains(event.target)) && toggle(false);
  function toggle(open) {
    menu.hidden = !open;
    opener.setAttribute("aria-expanded", String(open));
    for (const kind of ["pointerdown", "keydown"]) document[open ? "addEventListener" : "removeEventListener"](kind, outside);
    if (open) menu.querySelector("button").focus();
  }
  return node;
}

const people = () => store.people.map((user) => h("option", { value: user }, store.users[user].real_name));
const rooms = () => [...store.channels.values()].filter((room) => room.kind !== "im")
  .map((room) => h("option", { value: room.id }, `#${room.name}`));
const initials = (shape) => (shape.initial_options ?? [shape.initial_option]).filter(Boolean).map((option) => option.value);

const BUILD = {
  static_select: (shape, chosen, id) => select(shape, chosen, id, optionsOf(shape, []), initials(shape)[0]),
  users_select: (shape, chosen, id) => select(shape, chosen, id, people(), shape.initial_user),
  channels_select: (shape, chosen, id) => select(shape, chosen, id, rooms(), shape.initial_channel),
  multi_static_select: (shape, chosen, id) => {
    const node = h("select", { class: "select many", multiple: true, id, "aria-label": id ? null : shape.action_id }, optionsOf(shape, initials(shape)));
    node.addEventListener("change", () => chosen(valueOf(node)));
    return node;
  },
  radio_buttons: (shape, chosen) => boxes("radio", shape, chosen, initials(shape)),
  checkboxes: (shape, chosen) => boxes("checkbox", shape, chosen, initials(shape)),
  overflow: (shape, chosen) => overflow(shape, chosen),
  plain_text_input: (shape, chosen, id) => typed("text", shape, chosen, id, shape.initial_value),
  number_input: (shape, chosen, id) => typed("number", shape, chosen, id, shape.initial_value),
  datepicker: (shape, chosen, id) => typed("date", shape, chosen, id, shape.initial_date),
};
