// The box one types in: completion of commands and names, recall of earlier lines, and the phone's habits on demand.
import { h, icon, toast } from "./dom.js";
import { act, store } from "./store.js";

const recalled = []; // lines sent from this page, newest last

export class Composer {
  constructor(root, { testid, inputId, where }) {
    this.where = where; // () -> { channel, thread_ts, label }
    this.at = null; // position while recalling
    this.phone = false;
    this.list = h("ul", { class: "completion", role: "listbox", id: `${inputId}-list`, hidden: true, data: { testid: "completion" } });
    this.input = h("textarea", {
      rows: 1, id: inputId, data: { testid }, autocomplete: "off", spellcheck: "false", autocapitalize: "off",
      role: "combobox", "aria-autocomplete": "list", "aria-controls": `${inputId}-list`, "aria-expanded": "false",
      oninput: () => { this.at = null; this.grow(); this.complete(); },
      onkeydown: (event) => this.key(event),
      onblur: () => setTimeout(() => this.hide(), 150),
    });
    this.sendButton = h("button", { type: "button", class: "icon-button send", "aria-label": "Send", data: { testid: `${testid}-send` }, onclick: () => this.send() }, icon("send"));
    const phone = h("button", {
      type: "button", class: "icon-button", "aria-pressed": "false", title: "Type as a phone does: curly quotes, long dashes, linked addresses",
      "aria-label": "Type as a phone does", data: { testid: `${testid}-phone` },
      onclick: () => { this.phone = !this.phone; phone.setAttribute("aria-pressed", String(this.phone)); },
    }, icon("phone"));
    root.replaceChildren(this.list, h("div", { class: "box" }, this.input, h("div", { class: "tools" }, phone, this.sendButton)));
  }

  /** Adapt to the channel or thread that is open now. */
  refresh() {
    const { label, closed } = this.where();
    this.input.placeholder = label;
    this.input.setAttribute("aria-label", label);
    this.input.disabled = this.sendButton.disabled = Boolean(closed);
  }

  grow() {
    this.input.style.height = "auto";
    this.input.style.height = `${Math.min(this.input.scrollHeight, 180)}px`;
  }

  set(value) {
    this.input.value = value;
    this.grow();
    this.input.setSelectionRange(value.length, value.length);
  }

  key(event) {
    if (!this.list.hidden && this.steer(event)) return;
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      this.send();
    } else if (event.key === "ArrowUp" && (this.input.value === "" || this.at !== null) && recalled.length) {
      event.preventDefault();
      this.at = Math.max((this.at ?? recalled.length) - 1, 0);
      this.set(recalled[this.at]);
    } else if (event.key === "ArrowDown" && this.at !== null) {
      event.preventDefault();
      this.at += 1;
      if (this.at >= recalled.length) this.at = null;
      this.set(this.at === null ? "" : recalled[this.at]);
    }
  }

  async send() {
    const text = this.input.value.trim();
    if (!text) return;
    const { channel, thread_ts } = this.where();
    recalled.push(text);
    this.at = null;
    this.set("");
    this.hide();
    this.sendButton.dataset.state = "working";
    const outcome = await act("type", { channel, thread_ts, text, phone: this.phone });
    this.sendButton.dataset.state = "idle";
    if (outcome.ok) return;
    toast(outcome.said ?? outcome.error);
    // What could not be sent at all comes back to be corrected.
    if (outcome.error === "not_possible" && !this.input.value) this.set(text);
  }

  // -- completion --

  complete() {
    const before = this.input.value.slice(0, this.input.selectionStart);
    const offers = commandOffers(before) ?? nameOffers(before) ?? [];
    this.list.replaceChildren(...offers.map((offer, index) => h("li", {
      role: "option", id: `${this.input.id}-option-${index}`, "aria-selected": String(index === 0),
      onpointerdown: (event) => { event.preventDefault(); this.take(offer); },
    }, h("strong", {}, offer.shown ?? offer.insert), offer.usage ? h("span", { class: "usage" }, offer.usage) : null,
      offer.about ? h("span", { class: "quiet" }, offer.about) : null)));
    this.offers = offers;
    this.moved = false;
    this.list.hidden = !offers.length;
    this.input.setAttribute("aria-expanded", String(offers.length > 0));
    this.mark(0);
  }

  mark(index) {
    this.index = index;
    [...this.list.children].forEach((item, at) => item.setAttribute("aria-selected", String(at === index)));
    this.list.children[index]?.scrollIntoView({ block: "nearest" });
    if (this.offers.length) this.input.setAttribute("aria-activedescendant", `${this.input.id}-option-${index}`);
    else this.input.removeAttribute("aria-activedescendant");
  }

  steer(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) {
      this.moved = true;
      this.mark((this.index + step + this.offers.length) % this.offers.length);
    }
    else if (event.key === "Escape") this.hide();
    else if (event.key === "Tab" || (event.key === "Enter" && this.enterCompletes())) this.take(this.offers[this.index]);
    else return false;
    event.preventDefault();
    event.stopPropagation();
    return true;
  }

  // Enter sends what was typed. It completes only a half-typed command or name, or an offer that was gone to:
  // it must never turn "hours=4" into "hours=48".
  enterCompletes() {
    const offer = this.offers[this.index];
    const word = this.input.value.slice(offer.start, this.input.selectionStart);
    return this.moved || (/^[/@]./.test(word) && word !== offer.insert.trim());
  }

  take(offer) {
    const end = this.input.selectionStart;
    const value = this.input.value.slice(0, offer.start) + offer.insert + this.input.value.slice(end);
    this.input.value = value;
    const caret = offer.start + offer.insert.length;
    this.input.setSelectionRange(caret, caret);
    this.input.focus();
    this.grow();
    this.complete();
  }

  hide() {
    this.list.hidden = true;
    this.offers = [];
    this.input.setAttribute("aria-expanded", "false");
  }
}

function commandOffers(before) {
  if (!before.startsWith("/")) return null;
  const [name] = before.split(/\s/, 1);
  if (before === name) {
    return store.commands.filter((one) => one.command.startsWith(name))
      .map((one) => ({ start: 0, insert: `${one.command} `, shown: one.command, usage: one.usage, about: one.description }));
  }
  const command = store.commands.find((one) => one.command === name);
  const word = /\S*$/.exec(before)[0];
  const first = before.slice(name.length).trim() === word;
  return (command?.completions ?? [])
    // A verb stands first; a key=value may stand anywhere.
    .filter((one) => one.startsWith(word) && one !== word && (first || one.includes("=")))
    .map((one) => ({ start: before.length - word.length, insert: one.endsWith("=") ? one : `${one} `, shown: one }));
}

function nameOffers(before) {
  const word = /(?:^|\s)(@[a-z0-9._-]*)$/i.exec(before)?.[1];
  if (word === undefined) return null;
  return Object.values(store.users)
    .filter((user) => user.name.startsWith(word.slice(1).toLowerCase()) && user.name !== "slackbot")
    .map((user) => ({ start: before.length - word.length, insert: `@${user.name} `, shown: `@${user.name}`, about: user.real_name }));
}
