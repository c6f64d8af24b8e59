// Every input the model takes: how far it moved, how sure that is, and what is wrong with it.

import { bar, el } from "./dom.js";
import { count, fixed, percent } from "./format.js";

const FULL = 2; // evidence at which the bar is full; its middle is the alarm line
const COLUMNS = [
  ["Feature", ""],
  ["Drift", "number"],
  ["Evidence", ""],
  ["Missing", "number"],
  ["Unusual", "number"],
  ["Rows", "number"],
  ["State", ""],
];

/** Once an alarm has named a feature it counts as drifted until it is back, even where its own evidence is below 1. */
export const hasDrifted = (feature) => feature.held || (feature.evidence !== null && feature.evidence >= 1);

export function showFeatures(host, model) {
  const heading = el("header", {}, el("h2", { id: "features-title" }, "Features"),
    el("span", { class: "quiet" }, "evidence 1 alerts · unusual: out of range, or a category the baseline never saw"));
  if (!model.features.length) {
    const why = model.reason || "There is no baseline yet. Build one with: mlmon baseline build";
    host.replaceChildren(heading, el("p", { class: "empty" }, why));
    return;
  }
  const sorted = [...model.features].sort((a, b) => urgency(b) - urgency(a) || (b.evidence ?? -1) - (a.evidence ?? -1) || a.name.localeCompare(b.name));
  const head = el("tr", {}, COLUMNS.map(([title, kind]) => el("th", { scope: "col", class: kind }, title)));
  const table = el("table", {}, el("thead", {}, head), el("tbody", {}, sorted.map(row)));
  host.replaceChildren(heading, el("div", { class: "scroll", role: "region", "aria-label": "Features, scrollable", tabindex: "0" }, table));
}

const urgency = (feature) => Number(hasDrifted(feature) || feature.missing_held);

function row(feature) {
  const number = (text) => el("td", { class: "number" }, text);
  return el("tr", {},
    el("th", { scope: "row" }, el("code", {}, feature.name), el("span", { class: "quiet" }, feature.kind)),
    el("td", { class: "number", title: feature.method }, fixed(feature.drift, 3)),
    el("td", {}, evidence(feature.evidence)),
    number(percent(feature.missing)),
    number(percent(feature.out_of_range ?? feature.unseen)),
    number(count(feature.rows)),
    el("td", {}, state(feature)));
}

function evidence(value) {
  if (value === null) return el("span", { class: "quiet" }, "–");
  return el("span", { class: "evidence-cell" }, bar(value / FULL, value >= 1 ? "marked alert" : "marked"), el("b", {}, fixed(value, 2)));
}

function state(feature) {
  const wrong = [hasDrifted(feature) && "drifted", feature.missing_held && "values missing"].filter(Boolean);
  if (wrong.length) return el("span", { class: "word alert" }, [...wrong, feature.reason].filter(Boolean).join(" · "));
  return feature.reason ? el("span", { class: "word" }, feature.reason) : el("span", { class: "quiet" }, "no drift seen");
}
