// What this page knows, kept current by the server's event stream, and the requests that act.

export const store = {
  me: "",
  seq: 0,
  team: "",
  app: { name: "", user: "", connected: false },
  users: {},
  groups: {},
  mine: new Set(), // user groups this person is in
  people: [],
  channels: new Map(), // id -> room; room.messages is a Map by ts
  direct: "",
  views: [],
  commands: [],
};

const listeners = new Set();
/** Call `listener(kind)` after each change. */
export const onChange = (listener) => listeners.add(listener);
const changed = (kind) => listeners.forEach((listener) => listener(kind));

let stream = null;

/** Load everything as this person (a handle), then follow the changes. */
export async function load(who) {
  const response = await fetch(`/page/state?as=${encodeURIComponent(who)}`);
  const state = await response.json();
  if (!response.ok) throw new Error(state.error ?? "the sandbox did not answer");
  Object.assign(store, {
    me: state.me, seq: state.seq, team: state.team, app: state.app, users: state.users, groups: state.groups,
    mine: new Set(state.my_groups), people: state.people, direct: state.direct, views: state.views, commands: state.commands,
  });
  store.channels = new Map(state.channels.map((room) => [room.id, withMap(room)]));
  follow();
  changed("all");
}

const withMap = (room) => ({ ...room, messages: new Map(room.messages.map((message) => [message.ts, message])) });

function follow() {
  stream?.close();
  const handle = store.users[store.me].name;
  const mine = (stream = new EventSource(`/page/events?as=${handle}&after=${store.seq}`));
  mine.onopen = () => setOffline(false);
  mine.onmessage = (event) => apply(JSON.parse(event.data));
  mine.addEventListener("app", (event) => {
    store.app.connected = JSON.parse(event.data).connected;
    changed("app");
  });
  mine.addEventListener("reload", () => reload(handle));
  mine.onerror = () => {
    setOffline(true);
    // The browser reconnects by itself unless the server refused, as a new run of it does.
    if (mine.readyState === EventSource.CLOSED) setTimeout(() => stream === mine && reload(handle), 1500);
  };
}

function reload(handle) {
  load(handle).catch(() => setTimeout(() => reload(handle), 1500));
}

function setOffline(offline) {
  document.getElementById("offline").hidden = !offline;
}

function apply(change) {
  if (change.kind === "views") {
    store.views = change.views;
    changed("views");
    return;
  }
  if (change.kind === "channel") {
    store.channels.set(change.channel.id, withMap(change.channel));
    changed("channels");
    return;
  }
  const room = store.channels.get(change.channel);
  if (!room) return;
  if (change.kind === "deleted") room.messages.delete(change.ts);
  else room.messages.set(change.message.ts, change.message);
  changed(change.kind === "message" ? { message: change.message } : "deleted");
}

/** Messages of a room in order of time. */
export function ordered(room) {
  return [...room.messages.values()].sort((one, other) => Number(one.ts) - Number(other.ts));
}

/** True when a message asks for this person: by name, by group, to everybody, or by being in a direct message. */
export function forMe(message) {
  if (message.user === store.me) return false;
  const text = JSON.stringify([message.text, message.blocks ?? []]);
  const groups = [...store.mine].some((id) => text.includes(`<!subteam^${id}`));
  const direct = store.channels.get(message.channel)?.kind === "im";
  return direct || groups || text.includes(`<@${store.me}>`) || /<!(channel|here|everyone)>/.test(text);
}

/** Do something as this person; always resolves to { ok, error, said, … }. */
export async function act(what, body) {
  try {
    const response = await fetch(`/page/${what}`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ as: store.me, ...body }),
    });
    return await response.json();
  } catch {
    return { ok: false, error: "unreachable", said: "The sandbox cannot be reached." };
  }
}
