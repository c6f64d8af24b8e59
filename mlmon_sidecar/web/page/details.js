// What a finding carries: for each of its names the figures, and both distributions drawn where it has them.

import { el } from "./dom.js";
import { count, fixed, moment, percent, short, words } from "./format.js";
import { table } from "./table.js";

const SVG = "http://www.w3.org/2000/svg";
const DRAWN = [["bins", "distribution"], ["clusters", "clusters"], ["distances", "distance to the nearest cluster"]];
const SILENT = new Set(["edges", "window_minutes", "shape_from_minute", ...DRAWN.flatMap(([key]) => [`reference_${key}`, `current_${key}`])]);
const SHARES = new Set(["before", "after", "old_share", "new_share", "lost", "missing"]);
const NAMES = { min_detectable_h: "smallest shift seen (h)", shape_nats: "sure of it by (nats)", onset_minute: "since", most: "most moved", members: "goes with" };
const LISTED = 12;

const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);
const isPair = (value) => Array.isArray(value) && value.length === 2 && value.every((each) => typeof each === "number");
const entriesOf = (value) => Object.entries(value).filter(([, each]) => each !== null);

export function told(incident) {
  const plain = [], parts = [];
  for (const [name, value] of entriesOf(incident.details)) {
    if (name === "groups") plain.push(...together(value));
    else if (name === "shares" && isObject(value)) parts.push(beforeAfter(value));
    else if (isObject(value) && Object.values(value).every(isObject)) parts.push(...units(value, incident));
    else plain.push(...fact(name, value, incident));
  }
  return [...parts, plain.length ? el("dl", {}, plain) : null];
}

/** Features that say the same count as one. */
function together(groups) {
  const said = groups.filter((group) => group.length > 1).map((group) => group.join(", "));
  return said.length ? [el("dt", {}, "together with"), el("dd", {}, said.join("; "))] : [];
}

function units(items, incident) {
  const all = Object.entries(items);
  const more = all.length - LISTED;
  return [...all.slice(0, LISTED).map(([name, item]) => unit(name, item, incident)),
    more > 0 ? el("p", { class: "quiet" }, `${count(more)} more at api/incidents`) : null];
}

function unit(name, item, incident) {
  const sides = [item.reference, item.current];
  const both = sides.every(isObject);
  const facts = entriesOf(item).flatMap(([key, value]) => {
    if (SILENT.has(key) || (both && (key === "reference" || key === "current"))) return [];
    if (key === "segments" && isObject(value)) return Object.values(value).flatMap(split);
    if (key === "shares" && isObject(value)) return [];
    return fact(key, value, incident, sides);
  });
  const drawn = DRAWN.map(([key, title]) => histogram(title, item[`reference_${key}`], item[`current_${key}`]));
  return el("section", { class: "unit" }, el("h3", {}, el("code", {}, name)), drawn, both ? figures(...sides) : null,
    isObject(item.shares) ? beforeAfter(item.shares) : null, el("dl", {}, facts));
}

/** A change by one dimension: another mix of its segments, or change within them. */
function split(part) {
  const most = part.segment ? `, most of it in ${part.segment}` : "";
  return [el("dt", {}, `by ${part.dimension}`), el("dd", {},
    `${part.share} ${percent(part.before)} → ${percent(part.after)}: ${signed(part.mix)} by another mix, ${signed(part.within)} within segments${most}`)];
}

const signed = (share) => `${share < 0 ? "−" : "+"}${percent(Math.abs(share))}`;

function fact(key, value, incident, sides = []) {
  return [el("dt", {}, NAMES[key] ?? words(key)), el("dd", {}, shown(key, value, incident, sides))];
}

function shown(key, value, incident, sides) {
  if (key.endsWith("_minute") && typeof value === "number") return moment(value * 60_000, incident.opened_ms);
  if (key === "shape") return { step: "in one step", ramp: "gradually" }[value] ?? String(value);
  const compared = (key === "reference" || key === "current") && sides.every((side) => typeof side === "number" && side >= 0 && side <= 1);
  if (typeof value === "number") return SHARES.has(key) || compared ? percent(value) : Number.isInteger(value) ? count(value) : short(value);
  if (typeof value === "string") return value;
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (Array.isArray(value) && value.every((each) => typeof each === "string")) return value.join(", ");
  if (Array.isArray(value) && value.every((each) => typeof each === "number")) return value.map(short).join(", ");
  return JSON.stringify(value);
}

/** Both sides of a feature: quantiles of a number, shares of a category. */
function figures(before, after) {
  if (isObject(before.shares) && isObject(after.shares)) {
    const names = [...new Set([...Object.keys(before.shares), ...Object.keys(after.shares)])];
    return beforeAfter(Object.fromEntries(names.map((name) => [name, [before.shares[name] ?? 0, after.shares[name] ?? 0]])));
  }
  const rows = [["baseline", before], ["now", after]].map(([name, side]) => [
    name, count(side.rows), Array.isArray(side.quantiles) ? side.quantiles.map(short).join(" · ") : "–", percent(side.missing), percent(side.out_of_range), fixed(side.distance, 3)]);
  return table("Before and now", [["", ""], ["Rows", "number"], ["Quantiles", "number"], ["Missing", "number"], ["Out of range", "number"], ["Drift", "number"]], rows);
}

/** Names to [before, now], those that moved most first. */
function beforeAfter(shares) {
  const moved = ([before, after]) => Math.abs(after - before);
  const pairs = Object.entries(shares).filter(([, pair]) => isPair(pair)).sort(([, a], [, b]) => moved(b) - moved(a)).slice(0, LISTED);
  return table("Shares before and now", [["", ""], ["Before", "number"], ["Now", "number"]],
    pairs.map(([name, [before, after]]) => [el("code", {}, name), percent(before), percent(after)]));
}

/** Counts of both sides as shares of their sums: bars now, the line before. */
function histogram(title, reference, current) {
  if (![reference, current].every((side) => Array.isArray(side) && side.length > 1) || reference.length !== current.length) return null;
  const [before, now] = [reference, current].map((side) => {
    const sum = side.reduce((a, b) => a + b, 0) || 1;
    return side.map((each) => each / sum);
  });
  const top = Math.max(...before, ...now) || 1;
  const high = (share) => 40 * (1 - share / top);
  const draw = (tag, attributes) => {
    const node = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    return node;
  };
  const label = `${title}, ${before.length} bins: bars now, line before`;
  const image = draw("svg", { viewBox: `0 0 ${before.length} 40`, preserveAspectRatio: "none", role: "img", "aria-label": label });
  image.append(...now.map((share, at) => draw("rect", { x: at + 0.08, width: 0.84, y: high(share), height: 40 - high(share) })),
    draw("polyline", { points: before.flatMap((share, at) => [`${at},${high(share)}`, `${at + 1},${high(share)}`]).join(" ") }));
  return el("figure", { class: "histogram" }, image, el("figcaption", { class: "quiet" }, `${title}: bars now, line before`));
}
