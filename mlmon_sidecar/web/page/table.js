// Tables of figures, all alike: a name, figures, evidence, and in words what is wrong.

import { bar, el } from "./dom.js";
import { fixed, plural } from "./format.js";

const FULL = 2; // evidence at which the bar is full; its middle is the alarm line

/** Columns are [title, class] pairs; a row is its cells (text or nodes), the first of them its name. */
export function table(label, columns, rows) {
  const head = el("tr", {}, columns.map(([title, kind]) => el("th", { scope: "col", class: kind }, title)));
  const body = rows.map((cells) => {
    const line = el("tr", { class: cells.quiet ? "naive" : null });
    line.append(...cells.map((cell, at) => (at ? el("td", { class: columns[at][1] }, cell) : el("th", { scope: "row" }, cell))));
    return line;
  });
  return el("div", { class: "scroll", role: "region", "aria-label": `${label}, scrollable`, tabindex: "0" },
    el("table", {}, el("thead", {}, head), el("tbody", {}, body)));
}

/** A section with its heading; nothing to show hides it. */
export function fill(host, title, note, children) {
  const shown = children.filter(Boolean);
  host.hidden = !shown.length;
  const heading = el("header", {}, el("h2", { id: `${host.id}-title` }, title), el("span", { class: "quiet" }, note));
  host.replaceChildren(...(shown.length ? [heading, ...shown] : []));
}

export const left = (number, noun) => (number > 0 ? el("p", { class: "quiet more" }, `${plural(number, noun)} more at api/status`) : null);

export const code = (name, ...more) => [el("code", {}, name), ...more.map((each) => el("span", { class: "quiet" }, each))];

export function evidence(value) {
  if (value === null) return el("span", { class: "quiet" }, "–");
  return el("span", { class: "evidence-cell" }, bar(value / FULL, value >= 1 ? "marked alert" : "marked"), el("b", {}, fixed(value, 2)));
}

/** What is wrong, else why a figure is withheld, else that all is well. */
export function verdict(wrong, reason, calm) {
  const said = wrong.filter(Boolean);
  if (said.length) return el("span", { class: "word alert" }, [...said, reason].filter(Boolean).join(" · "));
  return reason ? el("span", { class: "word" }, reason) : el("span", { class: "quiet" }, calm);
}
