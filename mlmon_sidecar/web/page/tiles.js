// Four tiles, one for each layer: the figure that matters, and how it moved.

import { el, tierBadge } from "./dom.js";
import { hasDrifted } from "./features.js";
import { around, Chart } from "./charts.js";
import { ask } from "./hub.js";
import { fixed, milliseconds, percent, plural, short, words } from "./format.js";

const TALL = 214;
const LONG_MS = 92 * 86_400_000; // outcomes arrive late: their charts reach further back
const COLOURS = ["line1", "line2", "line3", "line4"];
const LAYERS = [
  ["infrastructure", "Infrastructure"],
  ["data", "Data"],
  ["prediction", "Predictions"],
  ["outcome", "Outcomes"],
];
const JUDGED = {
  infrastructure: (model) => model.window.requests > 0,
  data: (model) => model.features.some((feature) => feature.evidence !== null),
  prediction: (model) => model.prediction.evidence !== null,
  outcome: (model) => model.outcome.realised !== null || model.outcome.estimated !== null,
};
const NOTHING = { t: [], v: [] };

const charts = {
  requests: new Chart({ title: "Requests a minute", format: short }),
  latency: new Chart({ title: "95th percentile of latency", format: milliseconds }),
  evidence: new Chart({ title: "Evidence of drift, 1 alerts", format: (v) => fixed(v, 2), height: TALL, rule: 1,
    range: ([, high]) => [0, Math.max(1.2, (high ?? 0) * 1.1)] }),
  score: new Chart({ title: "Mean score", format: (v) => fixed(v, 3), range: around(0.02, -Infinity, Infinity) }),
  classes: new Chart({ title: "Share of classes, and confidence", format: percent, range: ([, high]) => [0, Math.min(1, (high ?? 1) * 1.2)] }),
  quality: new Chart({ title: "Realised and estimated quality", format: (v) => fixed(v, 3), range: around(0.06, 0, 1) }),
  coverage: new Chart({ title: "Predictions with a label", format: percent, range: () => [0, 1] }),
};
const parts = Object.fromEntries(LAYERS.map(([layer, title]) => [layer, tile(layer, title)]));

function tile(layer, title) {
  const state = el("span", { class: "tile-state" });
  const heading = el("header", {}, el("h2", {}, title), state);
  const [first, second] = [figure(), figure()];
  const shown = {
    infrastructure: [first.node, charts.requests.node, second.node, charts.latency.node],
    data: [first.node, charts.evidence.node],
    prediction: [first.node, charts.score.node, second.node, charts.classes.node],
    outcome: [first.node, charts.quality.node, second.node, charts.coverage.node],
  }[layer];
  return { node: el("article", { class: "tile" }, heading, ...shown), state, first, second };
}

function figure() {
  const [value, name, rest] = [el("strong"), el("span"), el("span", { class: "rest" })];
  const node = el("p", { class: "figure" }, value, name, rest);
  const set = (big, what, more = "") => {
    value.textContent = big;
    name.textContent = ` ${what}`;
    rest.textContent = more;
  };
  return { node, set };
}

export const tileNodes = () => LAYERS.map(([layer]) => parts[layer].node);

/** Figures and states: cheap, at every answer of the hub. */
export function showTiles(model, incidents) {
  for (const [layer] of LAYERS) {
    const open = incidents.filter((each) => each.layer === layer && each.resolved_ms === null);
    const tier = open.length ? Math.min(...open.map((each) => each.tier)) : 0;
    parts[layer].state.replaceChildren(tierBadge(tier, JUDGED[layer](model)));
    parts[layer].node.dataset.tier = tier;
  }
  const { window, prediction, outcome } = model;
  const { infrastructure, data } = parts;
  infrastructure.first.set(short(window.requests), `requests in ${short(window.hours)} h`, errors(window));
  infrastructure.second.set(milliseconds(window.p95_ms), "95th percentile", `median ${milliseconds(window.p50_ms)}`);
  const judged = model.features.filter((feature) => feature.evidence !== null);
  const drifted = judged.filter(hasDrifted).length;
  data.first.set(
    judged.length ? `${drifted} of ${judged.length}` : "–",
    "features drifted",
    judged.length ? [waiting(model.features.length - judged.length), lacking(model.features)].filter(Boolean).join(" · ") : model.reason,
  );
  showPrediction(prediction);
  showOutcome(outcome);
}

const errors = (window) => (window.errors ? `${plural(window.errors, "error")} (${percent(window.error_ratio)})` : "no errors");
const lacking = (features) => {
  const number = features.filter((feature) => feature.missing_held).length;
  return number ? `values missing in ${number}` : "";
};
const waiting = (number) => (number ? `${number} not judged yet` : "all judged");

function showPrediction(prediction) {
  const { first, second } = parts.prediction;
  if (prediction.reason && prediction.mean_score === null && !prediction.classes.length) {
    first.set("–", "mean score", prediction.reason);
    second.set("–", "class shares", prediction.reason);
    return;
  }
  const confidence = prediction.confidence_mean === null ? "" : `mean confidence ${percent(prediction.confidence_mean)}`;
  first.set(fixed(prediction.mean_score, 3), "mean score", confidence);
  const [top] = [...prediction.classes].sort((a, b) => (b.ratio ?? 0) - (a.ratio ?? 0));
  if (top) second.set(percent(top.ratio), top.name, `baseline ${percent(top.reference_ratio)}`);
  else second.set("–", "class shares", "the model answers with no classes");
}

function showOutcome(outcome) {
  const { first, second } = parts.outcome;
  const { mature, realised, estimated } = outcome;
  const shown = mature ?? { value: realised ?? estimated, low: outcome.low, high: outcome.high };
  const kind = mature ? "mature labels" : realised === null ? "estimated" : "realised";
  const range = (low, high) => `${fixed(low, 3)} to ${fixed(high, 3)}`;
  const against = [
    shown.low === null || shown.high === null ? "" : `95 % within ${range(shown.low, shown.high)}`,
    outcome.baseline === null ? "" : `baseline ${fixed(outcome.baseline, 3)}`,
    mature && estimated !== null ? `estimated ${range(outcome.estimated_low, outcome.estimated_high)}` : "",
    mature && outcome.bias !== null ? `all labels ${fixed(realised, 3)}, of which ${fixed(outcome.bias, 3)} for being young` : "",
  ];
  if (shown.value === null) first.set("–", words(outcome.metric), outcome.reason || "no labels yet");
  else first.set(fixed(shown.value, 3), `${words(outcome.metric)}, ${kind}`, against.filter(Boolean).join(" · "));
  const due = outcome.expected_coverage === null ? "" : ` · ${percent(outcome.expected_coverage)} to come in the end`;
  second.set(percent(outcome.coverage), "labelled", `${plural(outcome.labelled, "label")}${due}`);
}

/** Charts: one question a line, asked again when the hub has sealed more. */
export async function drawTiles(model, now) {
  const since = Math.floor((now - model.window.hours * 3_600_000) / 60_000) * 60_000;
  const series = (name, label = "", from = since) =>
    ask("api/series", { model: model.name, name, label, since: String(Math.max(0, from)) });
  const leading = model.features
    .filter((feature) => feature.evidence !== null)
    .sort((a, b) => b.evidence - a.evidence)
    .slice(0, COLOURS.length);
  const classes = model.prediction.classes.slice(0, COLOURS.length);
  const long = now - LONG_MS;
  const [requests, failed, p95, score, confidence, realised, estimated, coverage, evidence, shares] = await Promise.all([
    series("requests"), series("errors"), series("p95_ms"), series("score_mean"), series("confidence_mean"),
    series(model.outcome.metric, "", long), series(`${model.outcome.metric}_estimated`, "", long), series("coverage", "", long),
    Promise.all(leading.map((feature) => series("drift_evidence", feature.name))),
    Promise.all(classes.map((each) => series("class_ratio", each.name))),
  ]);
  const recent = [Math.max(since, earliest([requests, score, p95], since)), now];
  const late = [earliest([realised, estimated, coverage], since), now];
  const line = (name, colour, data, more = {}) => ({ name, colour, data: data ?? NOTHING, ...more });
  const empty = `nothing in the last ${short(model.window.hours)} h`;
  charts.requests.show([line("requests/min", "line1", requests, { area: true }), line("errors/min", "tier1", failed)], recent, empty);
  charts.latency.show([line("p95", "line1", p95, { area: true })], recent, empty);
  charts.evidence.show(leading.map((each, at) => line(each.name, COLOURS[at], evidence[at])), recent, leading.length ? empty : model.reason || empty);
  charts.score.show([line("mean score", "line1", score)], recent, model.prediction.reason || empty);
  const shareLines = classes.map((each, at) => line(each.name, COLOURS[at], shares[at]));
  charts.classes.show([...shareLines, line("confidence", "quiet", confidence, { dash: true })], recent, model.prediction.reason || (classes.length ? empty : "no classes"));
  const missing = model.outcome.reason || "needs labels";
  charts.quality.show([line("realised", "line1", realised), line("estimated", "line2", estimated, { dash: true })], late, missing);
  charts.coverage.show([line("labelled", "line1", coverage, { area: true })], late, missing);
}

const earliest = (all, otherwise) => Math.min(...all.map((each) => each.t[0] ?? Infinity), Infinity) === Infinity
  ? otherwise
  : Math.min(...all.map((each) => each.t[0] ?? Infinity));
