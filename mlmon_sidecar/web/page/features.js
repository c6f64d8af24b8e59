// Every input the model takes: how far it moved, how sure that is, and what is wrong with it.

import { el } from "./dom.js";
import { count, fixed, percent } from "./format.js";
import { code, evidence, table, verdict } from "./table.js";

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
  host.replaceChildren(heading, table("Features", COLUMNS, sorted.map(row)));
}

const urgency = (feature) => Number(hasDrifted(feature) || feature.missing_held);

const row = (feature) => [
  code(feature.name, feature.kind),
  el("span", { title: feature.method }, fixed(feature.drift, 3)),
  evidence(feature.evidence),
  percent(feature.missing),
  percent(feature.out_of_range ?? feature.unseen),
  count(feature.rows),
  verdict([hasDrifted(feature) && "drifted", feature.missing_held && "values missing"], feature.reason, "no drift seen"),
];
