// The page: rail, channel, thread, and the address that says who acts, where, in which thread.
import { Composer } from "./composer.js";
import { avatar, h, icon, toast } from "./dom.js";
import { MessageList, repliesOf } from "./messages.js";
import { drawModal } from "./modal.js";
import { plain } from "./mrkdwn.js";
import { act, forMe, load, onChange, ordered, store } from "./store.js";

const element = (id) => document.getElementById(id);
const route = { as: "", channel: "", thread: "" };

function readRoute() {
  const query = new URLSearchParams(location.search);
  route.as = query.get("as") ?? sessionStorage.getItem("as") ?? "";
  route.channel = query.get("channel") ?? "";
  route.thread = query.get("thread") ?? "";
}

function go(change, { replace = false } = {}) {
  Object.assign(route, change);
  const query = new URLSearchParams(Object.entries(route).filter(([, value]) => value));
  history[replace ? "replaceState" : "pushState"](null, "", `?${query}`);
  sessionStorage.setItem("as", route.as);
  draw();
}

// -- what was read, per person and channel --

const readKey = (channel) => `read ${store.me} ${channel}`;
const readUpTo = (channel) => Number(sessionStorage.getItem(readKey(channel)) ?? 0);

function markRead(room) {
  const newest = ordered(room).at(-1)?.ts;
  if (newest && document.visibilityState === "visible") sessionStorage.setItem(readKey(room.id), newest);
}

function unread(room) {
  const since = readUpTo(room.id);
  const fresh = ordered(room).filter((message) => Number(message.ts) > since && message.user !== store.me);
  return { any: fresh.length > 0, asks: fresh.filter(forMe).length };
}

// -- drawing --

const channelList = new MessageList(element("channel-scroll"), { openThread: (ts) => go({ thread: ts }), inThread: false });
const threadList = new MessageList(element("thread-scroll"), { openThread: () => {}, inThread: true });

const composers = [
  new Composer(element("channel-composer"), { testid: "composer", inputId: "composer-input", where: () => ({ channel: route.channel, ...boxLabel() }) }),
  new Composer(element("thread-composer"), { testid: "thread-composer", inputId: "thread-input", where: () => ({ channel: route.channel, thread_ts: route.thread, ...boxLabel("Reply…") }) }),
];

function boxLabel(label) {
  const room = store.channels.get(route.channel);
  if (room?.archived) return { label: "This channel is archived", closed: true };
  // A text box cuts what is too long for a phone, without saying so.
  const whole = room?.kind === "im" ? `Message ${roomName(room)}` : `Message #${room?.name} or /command`;
  return { label: label ?? whole };
}

function roomName(room) {
  return room.kind === "im" ? store.users[room.other]?.real_name ?? "Direct message" : room.name;
}

function draw() {
  const rooms = [...store.channels.values()];
  let room = route.channel && rooms.find((one) => [one.id, one.name].includes(route.channel.replace(/^#/, "")));
  if (!room) {
    room = rooms.find((one) => one.has_app && one.kind !== "im") ?? rooms[0];
    if (!room) return;
    // An address from another run, or of a channel this person is not in: its thread is not here either.
    if (route.channel) route.thread = "";
  }
  if (route.channel !== room.id) return void go({ channel: room.id }, { replace: true });
  markRead(room);
  drawHeader();
  drawRail();
  drawChannel(room);
  drawThread(room);
  composers.forEach((composer) => composer.refresh());
  drawModal();
}

function drawHeader() {
  element("team-name").textContent = store.team;
  const buttons = store.people.map((id) => {
    const user = store.users[id];
    const mine = id === store.me;
    return h("button", {
      type: "button", role: "radio", "aria-checked": String(mine), tabindex: mine ? 0 : -1, data: { as: user.name, testid: `as-${user.name}` },
      onclick: () => switchTo(user.name), onkeydown: steerSwitch, title: `${user.real_name}, ${user.title}`,
    }, avatar(user, "tiny"), h("span", { class: "as-name" }, user.real_name.split(" ")[0]), h("span", { class: "as-title" }, user.title));
  });
  const focused = element("as-switch").contains(document.activeElement);
  element("as-switch").replaceChildren(...buttons);
  if (focused) element("as-switch").querySelector("[aria-checked=true]")?.focus();
}

function steerSwitch(event) {
  const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  if (!step) return;
  event.preventDefault();
  const at = store.people.indexOf(store.me);
  switchTo(store.users[store.people[(at + step + store.people.length) % store.people.length]].name);
}

async function switchTo(name) {
  route.as = name;
  go({ as: name });
  await start();
}

function drawRail() {
  const rooms = [...store.channels.values()].sort((one, other) => roomName(one).localeCompare(roomName(other)));
  let asks = 0;
  const link = (room) => {
    const state = unread(room);
    asks += state.asks;
    const here = room.id === route.channel;
    return h("li", {}, h("a", {
      href: `?as=${route.as}&channel=${room.id}`, class: ["room", here ? "here" : "", state.any && !here ? "unread" : ""].join(" "),
      "aria-current": here ? "page" : null, data: { testid: "channel-link", channel: room.name || room.id, go: room.id },
    }, room.kind === "im" ? avatar(store.users[room.other], "tiny") : icon("hash"), h("span", { class: "room-name" }, roomName(room)),
      state.asks ? h("span", { class: "count-badge", "aria-label": `${state.asks} for you` }, String(state.asks)) : null));
  };
  const channels = rooms.filter((room) => room.kind !== "im").map(link);
  const direct = rooms.filter((room) => room.kind === "im").map(link);
  element("rail").replaceChildren(
    h("h2", {}, "Channels"), h("ul", {}, channels), h("h2", {}, "Direct messages"), h("ul", {}, direct),
    h("div", { class: "rail-foot" },
      h("p", { class: "status", data: { testid: "app-status", connected: store.app.connected ? "yes" : "no" } },
        h("span", { class: store.app.connected ? "dot on" : "dot" }), store.app.connected ? `${store.app.name} is connected` : `${store.app.name} is not connected`),
      h("button", { type: "button", class: "quiet-button", title: "Networks deliver things twice: this does it on purpose", data: { testid: "redeliver" }, onclick: again }, icon("again"), "Deliver the last event again")));
  document.title = `${asks ? `(${asks}) ` : ""}${roomName(store.channels.get(route.channel))} · ${store.team} sandbox`;
}

async function again() {
  const outcome = await act("redeliver", {});
  toast(outcome.ok ? "Delivered again; the app acknowledged." : outcome.said ?? outcome.error, outcome.ok ? "good" : "bad");
}

function drawChannel(room) {
  const name = room.kind === "im" ? [avatar(store.users[room.other], "tiny"), roomName(room)] : [icon("hash"), room.name];
  element("channel-head").replaceChildren(h("h1", {}, name), h("span", { class: "topic" }, plain(room.topic)),
    h("span", { class: "badge soft", hidden: room.has_app }, "The app is not in this channel"));
  const top = ordered(room).filter((message) => !message.thread_ts || message.thread_ts === message.ts || message.subtype === "thread_broadcast");
  channelList.draw(room, top, () => h("div", { class: "empty" },
    h("span", { class: "empty-mark" }, room.kind === "im" ? avatar(store.users[room.other]) : icon("hash")),
    h("p", {}, h("strong", {}, room.kind === "im" ? `This is your talk with ${roomName(room)}` : `Nothing in #${room.name} yet`)),
    h("p", { class: "quiet" }, "Type ", h("code", {}, store.commands[0]?.command ?? "/"), " to begin.")));
}

function drawThread(room) {
  const pane = element("thread");
  const parent = room.messages.get(route.thread);
  const replies = route.thread ? repliesOf(room, route.thread) : [];
  const wasHidden = pane.hidden;
  pane.hidden = !route.thread || (!parent && !replies.length);
  element("panes").dataset.thread = pane.hidden ? "closed" : "open";
  if (pane.hidden) return;
  element("thread-head").replaceChildren(h("h2", {}, "Thread"), h("span", { class: "topic" }, room.kind === "im" ? roomName(room) : `#${room.name}`),
    h("button", { type: "button", class: "icon-button", "aria-label": "Close thread", data: { testid: "close-thread" }, onclick: closeThread }, icon("close")));
  threadList.draw(room, [...(parent ? [parent] : []), ...replies], () => h("span"));
  if (wasHidden) threadList.bottom();
}

function closeThread() {
  go({ thread: "" });
  element("composer-input").focus();
}

// -- listening --

function showRail(open) {
  element("panes").dataset.rail = open ? "open" : "closed";
  element("open-rail").setAttribute("aria-expanded", String(open));
}

document.addEventListener("click", (event) => {
  const target = event.target.closest("[data-go]");
  if (target && !event.metaKey && !event.ctrlKey) {
    event.preventDefault();
    showRail(false);
    go({ channel: target.dataset.go, thread: "" });
    channelList.bottom();
  } else if (!event.target.closest("#rail, #open-rail")) showRail(false);
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || event.defaultPrevented || document.querySelector("dialog[open]")) return;
  if (element("panes").dataset.rail === "open") showRail(false);
  else if (route.thread) closeThread();
});

document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && store.me && draw());
window.addEventListener("popstate", async () => {
  const before = route.as;
  readRoute();
  if (route.as !== before) await start();
  else draw();
});

onChange((kind) => {
  draw();
  if (kind.message && forMe(kind.message) && document.visibilityState !== "visible") toast(`${store.users[kind.message.user]?.real_name}: ${kind.message.text}`, "good");
});

async function start() {
  try {
    await load(route.as);
  } catch (error) {
    if (!route.as) return toast(error.message);
    route.as = "";
    return start();
  }
  const name = store.users[store.me].name;
  if (route.as !== name) go({ as: name }, { replace: true });
  channelList.bottom();
}

element("open-rail").append(icon("menu"));
element("open-rail").addEventListener("click", () => showRail(element("panes").dataset.rail !== "open"));
element("brand-mark").append(icon("hourglass"));
readRoute();
start();
