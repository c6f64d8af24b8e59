// What labels say: the figure that alarms rest on, the naive one beside it with its bias, and every other figure there is.

import { el } from "./dom.js";
import { count, fixed, moment, percent, plural, short, words } from "./format.js";
import { code, fill, table } from "./table.js";

const FIGURES = [["Figure", ""], ["Value", "number"], ["95 % within", "number"], ["Labels", "number"], ["What it says", ""]];
const AVERAGES = ["micro", "macro", "weighted", "samples"];

export function showOutcomes(host, model, now) {
  const { outcome, pull } = model;
  const some = outcome.labelled > 0 || outcome.estimated !== null;
  const figures = some ? [...quality(outcome), ...weights(outcome), ...scores(outcome), ...errors(outcome.errors), ...ratings(outcome.ratings)] : [];
  fill(host, "Outcomes", some ? standing(outcome) : "", [
    figures.length ? table("Outcomes", FIGURES, figures) : null,
    pull ? pulled(pull, now) : null,
    outcome.sets ? averages(outcome.sets) : null,
    outcome.sets ? classes(outcome.sets) : null,
    outcome.segments.length ? segments(outcome) : null,
  ]);
}

const range = (low, high, digits = 3) => (low === null || high === null ? "–" : `${fixed(low, digits)} to ${fixed(high, digits)}`);
const spread = (low, high) => (low === null || high === null ? "–" : `${short(low)} to ${short(high)}`);
const said = (...all) => all.filter(Boolean).join(" · ");

function standing(outcome) {
  const age = outcome.mature_age_days === null ? "when labels are complete is not known yet" : `complete after ${plural(outcome.mature_age_days, "day")}`;
  return said(`${percent(outcome.coverage)} labelled`, outcome.expected_coverage !== null && `${percent(outcome.expected_coverage)} in the end`,
    outcome.maturity !== null && `${percent(outcome.maturity)} of the week's labels are in`, age,
    outcome.delay_moved && "labels now come at other ages than before", outcome.realised === null && outcome.reason);
}

function quality(outcome) {
  const name = words(outcome.metric);
  const { mature, bias } = outcome;
  const rows = [];
  if (outcome.realised === null && outcome.estimated === null && (outcome.errors || outcome.ratings)) return rows; // no metric is watched
  if (mature) {
    rows.push([`${name}, mature labels`, fixed(mature.value, 3), range(mature.low, mature.high), count(mature.labelled),
      `alarms rest on this: ${plural(mature.cohorts, "day")} whose labels are almost all in`]);
  } else if (outcome.labelled) {
    rows.push([`${name}, mature labels`, "–", "–", "–", outcome.reason || "no day's labels are complete yet"]);
  }
  if (outcome.realised !== null) {
    const off = bias === null ? "how far the quick labels mislead is not known yet" : Math.abs(bias) < 0.0005 ? "as mature labels will be"
      : `${fixed(Math.abs(bias), 3)} too ${bias > 0 ? "high" : "low"} for being young: time takes that back`;
    rows.push(Object.assign([`${name}, all labels`, fixed(outcome.realised, 3), range(outcome.low, outcome.high), count(outcome.labelled), said(off, mature && outcome.reason)], { quiet: true }));
  }
  if (outcome.equal_age !== null) rows.push([`${name}, at equal age`, fixed(outcome.equal_age, 3), "–", "–", "what mature days showed when they were as young as this week is"]);
  rows.push([`${name}, estimated`, fixed(outcome.estimated, 3), range(outcome.estimated_low, outcome.estimated_high), "–", said(outcome.estimate_note, trust(outcome.estimate_check))]);
  if (outcome.baseline !== null) rows.push([`${name}, baseline`, fixed(outcome.baseline, 3), "–", "–", said("on the baseline's own labels", outcome.tolerance !== null && `errors up to ${short(outcome.tolerance)} are about right`)]);
  return rows;
}

function trust(check) {
  if (!check) return "";
  const side = check.gap > 0 ? "above" : "below";
  return `over ${plural(check.days, "day")} ${fixed(Math.abs(check.gap), 3)} ${side} what labels then said${check.broken ? ": not to be trusted" : ""}`;
}

function weights({ weighted, metric }) {
  if (!weighted) return [];
  const say = `labels by their weights, worth ${count(Math.round(weighted.effective))} of equal weight`;
  return [
    weighted.realised !== null && [`${words(metric)}, weighted`, fixed(weighted.realised, 3), range(weighted.low, weighted.high), "–",
      said(say, weighted.mature !== null && `mature ${fixed(weighted.mature, 3)}`)],
    weighted.up_rate !== null && ["thumbs up, weighted", percent(weighted.up_rate), "–", "–", say],
    weighted.mean !== null && ["mean rating, weighted", short(weighted.mean), "–", "–", say],
  ].filter(Boolean);
}

function scores({ scores: plain, weighted }) {
  const of = (view, kind) => !view ? [] : [
    [`area under the curve${kind}`, view.auc, range(view.auc_low, view.auc_high), view.auc === null ? "one class alone" : "of the score"],
    [`average precision${kind}`, view.average_precision, "–", ""],
    [`log loss${kind}`, view.log_loss, "–", ""],
    [`Brier score${kind}`, view.brier, "–", ""],
    [`calibration error${kind}`, view.calibration_error, "–", "mean over ten bins of the score"],
  ].map(([name, value, within, note]) => [name, fixed(value, 3), within, count(view.rows), note]);
  return [...of(plain, ""), ...of(weighted?.scores, ", weighted").map(([name, value, within, , note]) => [name, value, within, "–", note])];
}

function errors(view) {
  if (!view) return [];
  const rows = count(view.rows);
  return [
    ["mean absolute error", short(view.mae), spread(view.mae_low, view.mae_high), rows, ""],
    ["root mean square error", short(view.rmse), "–", rows, ""],
    ["bias", short(view.bias), spread(view.bias_low, view.bias_high), rows, "mean of predicted minus actual"],
    ["mean absolute percentage error", percent(view.mape), "–", rows, view.mape === null ? "every actual value is 0" : ""],
    ["R²", fixed(view.r2, 3), "–", rows, view.r2 === null ? "the actual values are all the same" : ""],
  ];
}

function ratings(view) {
  if (!view) return [];
  const thumbs = view.up + view.down;
  const within = view.up_low === null ? "–" : `${percent(view.up_low)} to ${percent(view.up_high)}`;
  return [
    thumbs > 0 && ["thumbs up", percent(view.up_rate), within, count(thumbs), `${count(view.up)} up, ${count(view.down)} down`],
    view.scores > 0 && ["mean rating", short(view.mean), spread(view.mean_low, view.mean_high), count(view.scores), ""],
    view.other > 0 && ["other labels", "–", "–", count(view.other), "neither thumb nor number"],
  ].filter(Boolean);
}

function pulled(pull, now) {
  const text = `${plural(pull.rows, "row")}, ${count(pull.taken)} taken, ${count(pull.refused)} refused`;
  return el("p", { class: "more" }, "Labels pulled ", moment(pull.at_ms, now), `: ${text}`,
    pull.problem ? el("span", { class: "word alert" }, ` · ${pull.problem}`) : "");
}

function averages(sets) {
  const columns = [["Average", ""], ["Precision", "number"], ["Recall", "number"], ["F1", "number"], ["", ""]];
  const rows = AVERAGES.map((kind) => [kind, ...["precision", "recall", "f1"].map((name) => fixed(sets[kind][name], 3)), ""]);
  rows[0][4] = `${plural(sets.rows, "set")}, ${percent(sets.exact)} right as a whole`;
  return table("Averages over classes", columns, rows);
}

function classes(sets) {
  const columns = [["Class", ""], ["Precision", "number"], ["Recall", "number"], ["F1", "number"], ["Predicted", "number"], ["Actual", "number"]];
  return table("Classes of sets", columns, sets.classes.map((each) => [
    code(each.name), fixed(each.precision, 3), fixed(each.recall, 3), fixed(each.f1, 3), count(each.predicted), count(each.actual)]));
}

/** What scores and errors of one version or segment say beside its figure. */
export const beside = ({ scores: score, answers, errors: error }) => said(
  score?.auc != null && `AUC ${fixed(score.auc, 3)}`, answers?.auc != null && `AUC of being right ${fixed(answers.auc, 3)}`,
  error && `mean absolute error ${short(error.mae)}, bias ${short(error.bias)}`);

function segments(outcome) {
  const columns = [["Segment", ""], [words(outcome.metric), "number"], ["95 % within", "number"], ["Labels", "number"], ["", ""]];
  const rows = outcome.segments.map((each) => [
    code(each.segment), fixed(each.realised, 3), range(each.low, each.high), count(each.labelled), beside(each)]);
  rows[0][4] = said(rows[0][4], "figures only: with many segments some are bad by chance");
  return table("Outcomes by segment", columns, rows);
}
