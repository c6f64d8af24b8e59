// Parts of the traffic and whole columns: segments, embeddings, versions, and what the textbook rules say of all.

import { count, fixed, moment, percent, plural, short, words } from "./format.js";
import { beside } from "./outcomes.js";
import { code, evidence, fill, left, table, verdict } from "./table.js";

const LISTED = 30;
const loud = (each) => Number(each.evidence !== null && each.evidence >= 1);
const urgency = (a, b) => b.held - a.held || (b.evidence ?? -1) - (a.evidence ?? -1);

export function showParts(hosts, model, incidents, now) {
  showSegments(hosts.segments, model.segments);
  showEmbeddings(hosts.embeddings, model.embeddings);
  showVersions(hosts.versions, model, incidents, now);
  showTextbook(hosts.textbook, model.textbook);
}

function showSegments(host, segments) {
  const columns = [["Segment", ""], ["Share", "number"], ["Baseline", "number"], ["Evidence", ""], ["Rows", "number"], ["State", ""]];
  const order = [...segments].sort((a, b) => urgency({ ...a, held: a.held.length }, { ...b, held: b.held.length }) || b.rows - a.rows);
  const rows = order.slice(0, LISTED).map((each) => [
    code(each.value === "_other" ? "all others" : each.value, each.dimension),
    percent(each.share), percent(each.reference_share), evidence(each.evidence), count(each.rows),
    verdict(each.held.length ? [`changed: ${each.held.join(", ")}`] : [loud(each) && "changed"], each.reason, "no drift seen"),
  ]);
  fill(host, "Segments", "parts of the traffic, each against itself in the baseline",
    rows.length ? [table("Segments", columns, rows), left(order.length - LISTED, "segment")] : []);
}

function showEmbeddings(host, embeddings) {
  const columns = [["Text or vector", ""], ["Clusters", "number"], ["Distance", "number"], ["Cosine", "number"], ["MMD", "number"],
    ["Evidence", ""], ["Rows", "number"], ["State", ""]];
  const rows = [...embeddings].sort(urgency).map((each) => [
    code(each.name), fixed(each.cluster_tv, 3), fixed(each.distance_ks, 3), fixed(each.centroid_cosine, 3), fixed(each.mmd, 3),
    evidence(each.evidence), count(each.rows), verdict([(each.held || loud(each)) && "drifted"], each.reason, "no drift seen"),
  ]);
  fill(host, "Embeddings", "clusters: total variation of their shares · distance: KS to the nearest, above 0 is farther",
    rows.length ? [table("Embeddings", columns, rows)] : []);
}

/** Versions that answer now and those that only labels still speak of; one alone is in the page's head already. */
function showVersions(host, model, incidents, now) {
  const { versions, outcome } = model;
  const known = new Set(versions.map((each) => each.version));
  const past = outcome.versions.filter((each) => !known.has(each.version))
    .map(({ version }) => ({ version, rows: null, last_minute: null, compared_with: "", shadow: false }));
  const all = [...versions, ...past];
  if (all.length < 2) return fill(host, "Versions", "", []);
  const columns = [["Version", ""], ["Rows", "number"], ["Last seen", "number"], ["Compared with", ""], [outcomeTitle(outcome), "number"],
    ["95 % within", "number"], ["Labels", "number"], ["Beside it", ""], ["State", ""]];
  const rows = all.map((each) => {
    const judged = outcome.versions.find(({ version }) => version === each.version);
    return [
      code(each.version, ...(each.shadow ? ["shadow"] : [])), count(each.rows),
      each.last_minute === null ? "–" : moment(each.last_minute * 60_000, now),
      each.compared_with ? code(each.compared_with) : "–",
      fixed(judged?.realised, 3), range(judged?.low, judged?.high), count(judged?.labelled), judged ? beside(judged) : "",
      standing(each, incidents),
    ];
  });
  fill(host, "Versions", "quality of all labels of a week, whatever their age", [table("Versions", columns, rows)]);
}

const outcomeTitle = (outcome) => words(outcome.metric).replace(/^./, (first) => first.toUpperCase());
const range = (low, high) => (typeof low === "number" && typeof high === "number" ? `${fixed(low, 3)} to ${fixed(high, 3)}` : "–");

function standing(version, incidents) {
  if (!version.compared_with) return verdict([], version.rows === null ? "answers no more" : "", "compared with the baseline alone");
  const pair = `${version.version} vs ${version.compared_with}`;
  const open = incidents.some((each) => each.resolved_ms === null && each.rule === "version_difference" && pair in (each.details.versions ?? {}));
  return verdict([open && "differs, see incidents"], "", "no difference seen");
}

function showTextbook(host, figures) {
  const columns = [["Rule", ""], ["Of", ""], ["Figure", "number"], ["Line", "number"]];
  const firing = figures.filter((each) => each.fires);
  const rows = firing.slice(0, LISTED).map((each) => [code(each.rule), code(each.name), short(each.value), short(each.threshold)]);
  const note = `${firing.length} of ${plural(figures.length, "figure")} past their line · figures only: these rules know no budget of false alarms`;
  fill(host, "Textbook rules", note, figures.length
    ? [rows.length ? table("Textbook rules", columns, rows) : document.createComment("none fires"), left(firing.length - LISTED, "figure")] : []);
}
