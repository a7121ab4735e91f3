// Slack's mrkdwn and plain text as nodes: mentions, links, dates in the reader's own zone, code, quotes, emphasis.
import { h } from "./dom.js";
import { EMOJI } from "./emoji.js";
import { store } from "./store.js";

const ENTITIES = { "&amp;": "&", "&lt;": "<", "&gt;": ">" };
const decode = (text) => text.replace(/&(amp|lt|gt);/g, (entity) => ENTITIES[entity]);
const emoji = (text) => text.replace(/:([a-z0-9_+-]+):/g, (whole, name) => EMOJI[name] ?? whole);

/** Text as it is, but for emoji shortcodes. */
export function plain(text) {
  return [emoji(decode(text))];
}

/** mrkdwn as nodes. */
export function mrkdwn(text) {
  const nodes = [];
  text.split(/```/).forEach((part, index) => {
    if (index % 2 === 0) nodes.push(...lines(part));
    else nodes.push(h("pre", {}, h("code", {}, links(part.replace(/^\n|\n$/g, "")))));
  });
  return nodes;
}

function lines(text) {
  const nodes = [];
  let quote = null;
  const all = text.split("\n");
  all.forEach((line, index) => {
    const quoted = /^(&gt;|>) ?/.exec(line);
    if (quoted) {
      if (!quote) nodes.push((quote = h("blockquote")));
      else quote.append(h("br"));
      quote.append(...inline(line.slice(quoted[0].length)));
      return;
    }
    quote = null;
    nodes.push(...inline(line));
    if (index < all.length - 1) nodes.push(h("br"));
  });
  // The break that ends a text, or stands right before a quote, would be an empty line.
  while (nodes.length && nodes.at(-1).tagName === "BR") nodes.pop();
  return nodes.filter((node, index) => !(node.tagName === "BR" && nodes[index + 1]?.tagName === "BLOCKQUOTE"));
}

const MARKS = [
  { mark: "*", tag: "strong" },
  { mark: "_", tag: "em" },
  { mark: "~", tag: "del" },
];

function inline(text) {
  let first = null;
  for (const { mark, tag } of MARKS) {
    // A mark counts at a word's edge only: snake_case and 2*3*4 stay as they are.
    const pattern = new RegExp(`(^|[^\\w${"\\" + mark}])\\${mark}(?=\\S)([^\\n]*?\\S)\\${mark}(?![\\w${"\\" + mark}])`);
    const found = pattern.exec(outside(text));
    if (found && (!first || found.index < first.found.index)) first = { found, tag };
  }
  if (!first) return spans(text);
  const start = first.found.index + first.found[1].length;
  const inner = text.slice(start + 1, first.found.index + first.found[0].length - 1);
  const end = first.found.index + first.found[0].length;
  return [...spans(text.slice(0, start)), h(first.tag, {}, inline(inner)), ...inline(text.slice(end))];
}

// What stands in <…> or is code must not be read as emphasis; it keeps its length so that positions agree.
const outside = (text) => text.replace(/`[^`\n]+`|<[^<>]*>/g, (found) => "x".repeat(found.length));

// Code, and what is between it.
function spans(text) {
  return text.split(/`([^`\n]+)`/).flatMap((part, index) => (index % 2 ? h("code", {}, links(part)) : links(part)));
}

function links(text) {
  return text
    .split(/(<[^<>\n]+>)/)
    .filter((part) => part)
    .map((part) => (part.startsWith("<") && part.endsWith(">") ? special(part.slice(1, -1)) : emoji(decode(part))));
}

function special(body) {
  const bar = body.indexOf("|");
  const target = bar < 0 ? body : body.slice(0, bar);
  const label = bar < 0 ? null : decode(body.slice(bar + 1));
  if (target.startsWith("@")) return mention(store.users[target.slice(1)]?.name ?? target.slice(1), target.slice(1) === store.me);
  if (target.startsWith("#")) {
    const id = target.slice(1);
    const name = store.channels.get(id)?.name ?? label ?? id;
    return h("a", { class: "mention", href: `?channel=${id}`, data: { go: id } }, `#${name}`);
  }
  if (target.startsWith("!subteam^")) {
    const id = target.split("^")[1];
    return mention(store.groups[id] ?? label ?? id, store.mine.has(id));
  }
  if (target.startsWith("!date^")) return date(target, label);
  if (target.startsWith("!")) return mention(target.slice(1), true);
  if (/^(https?:|mailto:)/.test(target)) {
    return h("a", { href: decode(target), target: "_blank", rel: "noopener noreferrer" }, label ?? decode(target));
  }
  return decode(`<${body}>`);
}

function mention(name, mine) {
  return h("span", { class: mine ? "mention mine" : "mention" }, `@${name}`);
}

/** A <!date^seconds^format^link|fallback> in the reader's own time zone. */
function date(target, fallback) {
  const [, seconds, format, link] = target.split("^");
  const at = new Date(Number(seconds) * 1000);
  if (!format || Number.isNaN(at.getTime())) return fallback ?? target;
  const full = at.toLocaleString(undefined, { dateStyle: "full", timeStyle: "long" });
  const text = decode(format).replace(/\{(\w+)\}/g, (whole, token) => datePart(token, at) ?? whole);
  const time = h("time", { datetime: at.toISOString(), title: full }, text);
  return link && /^https?:/.test(link) ? h("a", { href: link, target: "_blank", rel: "noopener noreferrer" }, time) : time;
}

function datePart(token, at) {
  const day = (options) => at.toLocaleDateString(undefined, options);
  const name = nearby(at);
  const long = { year: "numeric", month: "long", day: "numeric" };
  const short = { year: "numeric", month: "short", day: "numeric" };
  return {
    date_num: () => `${at.getFullYear()}-${String(at.getMonth() + 1).padStart(2, "0")}-${String(at.getDate()).padStart(2, "0")}`,
    date: () => day(long),
    date_slash: () => day({ year: "numeric", month: "2-digit", day: "2-digit" }),
    date_short: () => day(short),
    date_long: () => day({ ...long, weekday: "long" }),
    date_pretty: () => name ?? day(long),
    date_short_pretty: () => name ?? day(short),
    date_long_pretty: () => name ?? day({ ...long, weekday: "long" }),
    time: () => at.toLocaleTimeString(undefined, { hour: "numeric", minute: "2-digit" }),
    time_secs: () => at.toLocaleTimeString(undefined, { hour: "numeric", minute: "2-digit", second: "2-digit" }),
    ago: () => ago(at),
  }[token]?.();
}

function nearby(at) {
  const days = Math.round((new Date(at).setHours(0, 0, 0, 0) - new Date().setHours(0, 0, 0, 0)) / 86400000);
  return { "-1": "yesterday", 0: "today", 1: "tomorrow" }[days];
}

function ago(at) {
  const minutes = Math.round((at - Date.now()) / 60000);
  const words = new Intl.RelativeTimeFormat(undefined, { numeric: "auto" });
  if (Math.abs(minutes) < 60) return words.format(minutes, "minute");
  return Math.abs(minutes) < 1440 ? words.format(Math.round(minutes / 60), "hour") : words.format(Math.round(minutes / 1440), "day");
}
