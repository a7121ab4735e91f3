// Lines of a channel or a thread: who said it, what it shows, what hangs on it. Drawn once, and again when it changed.
import { picture, renderBlocks } from "./blocks.js";
import { avatar, h, icon } from "./dom.js";
import { EMOJI } from "./emoji.js";
import { mrkdwn } from "./mrkdwn.js";
import { forMe, ordered, store } from "./store.js";

const TOGETHER_S = 300;
const clock = (at) => at.toLocaleTimeString(undefined, { hour: "numeric", minute: "2-digit" });

/** A list that keeps the nodes of messages that did not change, so that focus and half-made choices stay. */
export class MessageList {
  constructor(root, { openThread, inThread }) {
    this.root = root;
    this.openThread = openThread;
    this.inThread = inThread;
    this.kept = new Map();
  }

  /** Draw these messages (in order) of this room. */
  draw(room, messages, empty) {
    const stays = this.root.scrollHeight - this.root.scrollTop - this.root.clientHeight < 80;
    const focus = focusName(this.root);
    const fresh = new Map();
    const nodes = [];
    let before = null;
    for (const message of messages) {
      const day = new Date(message.ts * 1000).toDateString();
      if (!this.inThread && (!before || new Date(before.ts * 1000).toDateString() !== day)) nodes.push(this.day(day, fresh));
      const together = before && before.user === message.user && message.ts - before.ts < TOGETHER_S
        && new Date(before.ts * 1000).toDateString() === day && !before.is_ephemeral && !message.is_ephemeral
        // A parent and its thread's first reply stand apart, in the channel and in the thread.
        && !repliesOf(room, before.ts).length;
      nodes.push(this.keep(message.ts, JSON.stringify([message, together, this.inThread ? 0 : summaryKey(room, message)]), fresh,
        () => this.line(room, message, together)));
      before = message;
    }
    this.kept = fresh;
    if (!messages.length) nodes.push(empty());
    this.root.replaceChildren(...nodes);
    if (stays) this.bottom();
    restore(this.root, focus);
  }

  /** Go to the newest line; pictures that load late must not leave it above the fold. */
  bottom() {
    this.root.scrollTop = this.root.scrollHeight;
    for (const image of this.root.querySelectorAll("img")) {
      if (!image.complete) image.addEventListener("load", () => (this.root.scrollTop = this.root.scrollHeight), { once: true });
    }
  }

  keep(name, shape, fresh, build) {
    const old = this.kept.get(name);
    const node = old?.shape === shape ? old.node : build();
    fresh.set(name, { shape, node });
    return node;
  }

  day(day, fresh) {
    return this.keep(day, day, fresh, () => {
      const label = new Date(day).toLocaleDateString(undefined, { weekday: "long", month: "long", day: "numeric" });
      return h("div", { class: "day", role: "separator" }, h("span", {}, day === new Date().toDateString() ? "Today" : label));
    });
  }

  line(room, message, together) {
    const user = store.users[message.user];
    const at = new Date(message.ts * 1000);
    const time = h("time", { class: "when", datetime: at.toISOString(), title: at.toLocaleString() }, clock(at));
    const edited = message.edited ? h("span", { class: "edited", title: new Date(message.edited.ts * 1000).toLocaleString() }, "(edited)") : null;
    const classes = ["message", together ? "together" : "", message.is_ephemeral ? "ephemeral" : "", forMe(message) && room.kind !== "im" ? "for-me" : ""];
    return h("article", { class: classes.join(" ").trim(), data: { ts: message.ts, testid: "message", user: user?.name, ephemeral: message.is_ephemeral ? "yes" : null } },
      together ? h("div", { class: "gutter" }, time) : avatar(user),
      h("div", { class: "message-body" },
        message.is_ephemeral ? h("p", { class: "only-you" }, icon("eye"), "Only visible to you") : null,
        together ? null : h("div", { class: "who" }, h("strong", {}, user?.real_name ?? message.user),
          user?.bot ? h("span", { class: "badge" }, "APP") : user?.title ? h("span", { class: "title" }, user.title) : null, time, edited),
        ...this.content(room, message), together ? edited : null,
        this.inThread ? null : this.summary(room, message)),
      this.inThread || message.is_ephemeral ? null : h("div", { class: "hover" },
        h("button", { type: "button", class: "icon-button", "aria-label": "Reply in thread", onclick: () => this.openThread(message.ts) }, icon("reply"))));
  }

  content(room, message) {
    const parts = [];
    if (message.blocks?.length) parts.push(h("div", { class: "blocks" }, renderBlocks(message.blocks, { channel: room.id, ts: message.ts })));
    else if (message.text) parts.push(h("div", { class: "text" }, mrkdwn(message.text)));
    for (const one of message.attachments ?? []) parts.push(attachment(one, room, message));
    for (const file of message.files ?? []) parts.push(fileNode(file));
    if (message.reactions) parts.push(h("div", { class: "reactions" }, message.reactions.map((one) =>
      h("span", { class: "reaction", title: one.users.map((id) => store.users[id]?.real_name).join(", ") }, `${EMOJI[one.name] ?? `:${one.name}:`} ${one.count}`))));
    return parts;
  }

  summary(room, message) {
    const replies = repliesOf(room, message.ts);
    if (!replies.length || message.is_ephemeral) return null;
    const who = [...new Set(replies.map((reply) => reply.user))].slice(0, 4);
    const last = new Date(replies.at(-1).ts * 1000);
    const asks = replies.some(forMe);
    return h("button", { type: "button", class: "replies", data: { testid: "replies", thread: message.ts }, onclick: () => this.openThread(message.ts) },
      h("span", { class: "faces" }, who.map((id) => avatar(store.users[id], "tiny"))),
      h("span", { class: "count" }, `${replies.length} ${replies.length === 1 ? "reply" : "replies"}`),
      asks ? h("span", { class: "asks" }, "mentions you") : null,
      h("span", { class: "quiet" }, `last at ${clock(last)}`));
  }
}

/** The replies of one thread that this person sees, oldest first. */
export function repliesOf(room, parent) {
  return ordered(room).filter((message) => message.thread_ts === parent && message.ts !== parent);
}

function summaryKey(room, message) {
  return repliesOf(room, message.ts).map((reply) => reply.ts).join();
}

function attachment(one, room, message) {
  const inner = one.blocks ? renderBlocks(one.blocks, { channel: room.id, ts: message.ts })
    : [one.title ? h("strong", {}, one.title) : null, h("div", {}, mrkdwn(one.text ?? one.fallback ?? ""))];
  return h("div", { class: "attachment" }, inner);
}

function fileNode(file) {
  const address = `/page/files/${file.id}`;
  if (file.thumb_360) return h("div", { class: "file-image", data: { fileId: file.id } }, h("p", { class: "quiet file-name" }, file.title), picture(address, file.alt_txt ?? file.title));
  return h("a", { class: "file", href: address, download: file.name, data: { fileId: file.id } }, icon("file"),
    h("span", {}, h("strong", {}, file.title), h("small", { class: "quiet" }, size(file.size))));
}

function size(bytes) {
  for (const [unit, factor] of [["GB", 1e9], ["MB", 1e6], ["KB", 1e3]]) if (bytes >= factor) return `${(bytes / factor).toFixed(1)} ${unit}`;
  return `${bytes} bytes`;
}

function focusName(root) {
  const active = document.activeElement;
  if (!root.contains(active)) return null;
  const { actionId, blockId, value } = active.dataset;
  return { ts: active.closest("[data-ts]")?.dataset.ts, actionId, blockId, value, active };
}

function restore(root, focus) {
  if (!focus?.ts || root.contains(focus.active)) return;
  const candidates = root.querySelectorAll(`[data-ts="${focus.ts}"] [data-action-id]`);
  const same = [...candidates].find((node) => node.dataset.actionId === focus.actionId && node.dataset.value === focus.value);
  (same ?? root).focus({ preventScroll: true });
}
