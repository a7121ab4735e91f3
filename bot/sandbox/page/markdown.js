// The `markdown` block (headings, lists, tables, fences) and rich_text, as nodes.
import { h } from "./dom.js";
import { mrkdwn, plain } from "./mrkdwn.js";

/** Standard Markdown as nodes; what it does not know stays as text. */
export function markdown(text) {
  const nodes = [];
  const rows = text.replace(/\r/g, "").split("\n");
  let at = 0;
  const take = (test) => {
    const taken = [];
    while (at < rows.length && test(rows[at])) taken.push(rows[at++]);
    return taken;
  };
  while (at < rows.length) {
    const row = rows[at];
    if (/^```/.test(row)) {
      at += 1;
      const code = take((line) => !/^```/.test(line));
      at += 1;
      nodes.push(h("pre", {}, h("code", {}, code.join("\n"))));
    } else if (/^#{1,6} /.test(row)) {
      at += 1;
      const level = /^#+/.exec(row)[0].length;
      nodes.push(h("p", { class: `heading heading-${Math.min(level, 3)}`, role: "heading", "aria-level": level + 2 }, inline(row.replace(/^#+ /, ""))));
    } else if (/^\s*([-*+]|\d+[.)]) /.test(row)) {
      const ordered = /^\s*\d/.test(row);
      const items = take((line) => /^\s*([-*+]|\d+[.)]) /.test(line));
      nodes.push(h(ordered ? "ol" : "ul", {}, items.map((item) => h("li", {}, inline(item.replace(/^\s*([-*+]|\d+[.)]) /, ""))))));
    } else if (/^> ?/.test(row)) {
      nodes.push(h("blockquote", {}, markdown(take((line) => /^> ?/.test(line)).map((line) => line.replace(/^> ?/, "")).join("\n"))));
    } else if (/^\|.*\|\s*$/.test(row) && /^\|[\s:|-]+\|\s*$/.test(rows[at + 1] ?? "")) {
      nodes.push(table(take((line) => /^\|.*\|\s*$/.test(line))));
    } else if (/^(-{3,}|\*{3,})\s*$/.test(row)) {
      at += 1;
      nodes.push(h("hr"));
    } else if (!row.trim()) {
      at += 1;
    } else {
      const lines = take((line) => line.trim() && !/^(```|#{1,6} |\s*([-*+]|\d+[.)]) |> ?)/.test(line));
      nodes.push(h("p", {}, lines.flatMap((line, index) => [index ? h("br") : null, ...inline(line)])));
    }
  }
  return nodes;
}

function table(rows) {
  const cells = (row) => row.trim().slice(1, -1).split("|").map((cell) => cell.trim());
  const [head, , ...body] = rows;
  return h("table", {},
    h("thead", {}, h("tr", {}, cells(head).map((cell) => h("th", {}, inline(cell))))),
    h("tbody", {}, body.map((row) => h("tr", {}, cells(row).map((cell) => h("td", {}, inline(cell)))))));
}

const INLINE = [
  { pattern: /`([^`]+)`/, build: (found) => h("code", {}, found[1]) },
  { pattern: /\*\*(\S(?:.*?\S)?)\*\*/, build: (found) => h("strong", {}, inline(found[1])) },
  { pattern: /~~(\S(?:.*?\S)?)~~/, build: (found) => h("del", {}, inline(found[1])) },
  { pattern: /(?<![\w*])\*(\S(?:.*?\S)?)\*(?!\w)/, build: (found) => h("em", {}, inline(found[1])) },
  { pattern: /(?<!\w)_(\S(?:.*?\S)?)_(?!\w)/, build: (found) => h("em", {}, inline(found[1])) },
  { pattern: /\[([^\]]+)\]\((https?:[^)\s]+)\)/, build: (found) => link(found[2], found[1]) },
  { pattern: /<[^<>\n]+>/, build: (found) => mrkdwn(found[0]) },
];

function inline(text) {
  let first = null;
  for (const { pattern, build } of INLINE) {
    const found = pattern.exec(text);
    if (found && (!first || found.index < first.found.index)) first = { found, build };
  }
  if (!first) return text ? plain(text) : [];
  const { found, build } = first;
  return [...inline(text.slice(0, found.index)), build(found), ...inline(text.slice(found.index + found[0].length))].flat();
}

const link = (url, label) => h("a", { href: url, target: "_blank", rel: "noopener noreferrer" }, label);

/** A rich_text block's elements as nodes. */
export function richText(elements) {
  return elements.map((element) => {
    const inner = () => (element.elements ?? []).flatMap(richInline);
    if (element.type === "rich_text_list") {
      const tag = element.style === "ordered" ? "ol" : "ul";
      return h(tag, {}, element.elements.map((item) => h("li", {}, item.elements.flatMap(richInline))));
    }
    if (element.type === "rich_text_preformatted") return h("pre", {}, h("code", {}, inner()));
    if (element.type === "rich_text_quote") return h("blockquote", {}, inner());
    return h("p", {}, inner());
  });
}

function richInline(part) {
  if (part.type === "user") return mrkdwn(`<@${part.user_id}>`);
  if (part.type === "channel") return mrkdwn(`<#${part.channel_id}>`);
  if (part.type === "usergroup") return mrkdwn(`<!subteam^${part.usergroup_id}>`);
  if (part.type === "broadcast") return mrkdwn(`<!${part.range}>`);
  if (part.type === "emoji") return plain(`:${part.name}:`);
  if (part.type === "link") return [/^https?:/.test(part.url) ? link(part.url, part.text ?? part.url) : part.text ?? part.url];
  let nodes = (part.text ?? "").split("\n").flatMap((line, index) => [index ? h("br") : "", line]);
  for (const [style, tag] of [["code", "code"], ["bold", "strong"], ["italic", "em"], ["strike", "del"]]) {
    if (part.style?.[style]) nodes = [h(tag, {}, nodes)];
  }
  return nodes;
}
