// The page: asks the hub for its status again and again, and shows it.

import { byId, el, tierBadge } from "./dom.js";
import { count, fixed, moment, plural } from "./format.js";
import { showFeatures } from "./features.js";
import { showFooter } from "./footer.js";
import { ask, forget } from "./hub.js";
import { showIncidents } from "./incidents.js";
import { showOutcomes } from "./outcomes.js";
import { showParts } from "./parts.js";
import { drawTiles, showTiles, tileNodes } from "./tiles.js";

const query = new URLSearchParams(location.search);
const POLL_MS = Math.min(60, Math.max(1, Number(query.get("poll")) || 5)) * 1000;
const SECTIONS = ["segments", "embeddings", "versions", "outcomes", "textbook"]; // hidden while there is nothing in them
const CHARTS_EVERY_MS = 5000; // at the most: about fifteen small questions

let chosen = query.get("model");
let shown = null; // the status on screen
let drawn = { at: -Infinity, model: null, minute: null };
let timer = 0;
let turn = 0; // only the newest refresh plans the next

async function refresh() {
  clearTimeout(timer);
  const mine = ++turn;
  try {
    const status = await ask("api/status");
    if (status !== shown) show(status);
    await draw(status);
    trouble("");
  } catch (error) {
    trouble(error.message);
    if (error.status === 401) return; // Asking again cannot help.
  }
  if (mine === turn && !document.hidden) timer = setTimeout(refresh, POLL_MS);
}

const modelOf = (status) =>
  status.models.find((model) => model.name === chosen) ??
  [...status.models].sort((a, b) => (a.state || 9) - (b.state || 9))[0];

function show(status) {
  shown = status;
  const model = modelOf(status);
  const now = status.generated_at_ms;
  showModels(status, model);
  showFresh(status);
  showFooter(byId("footer"), status);
  for (const id of ["tiles", "incidents", "features"]) byId(id).hidden = !model;
  if (!model) {
    for (const id of SECTIONS) byId(id).hidden = true;
    const why = "Send one request to a monitored route. It appears here within a few seconds.";
    byId("state").replaceChildren(el("h1", {}, "No predictions yet"), el("p", { class: "quiet" }, why));
    return;
  }
  const incidents = status.incidents.filter((each) => each.model === model.name);
  showState(model, incidents, now);
  if (!byId("tiles").childElementCount) byId("tiles").replaceChildren(...tileNodes());
  showTiles(model, incidents);
  showIncidents(byId("incidents"), incidents, now, model.window.hours);
  showFeatures(byId("features"), model);
  showParts(Object.fromEntries(SECTIONS.map((id) => [id, byId(id)])), model, incidents, now);
  showOutcomes(byId("outcomes"), model, now);
}

function versionName(each) {
  const said = [each.shadow && "shadow", each.compared_with && `against ${each.compared_with}`].filter(Boolean).join(", ");
  return said ? `${each.version} (${said})` : each.version;
}

function showState(model, incidents, now) {
  const worst = incidents.filter((each) => each.resolved_ms === null).sort((a, b) => a.tier - b.tier || b.opened_ms - a.opened_ms)[0];
  const since = worst && !/ since /.test(model.sentence) ? [" since ", moment(worst.opened_ms, now)] : [];
  const version = model.versions.map(versionName).join(", ");
  const baseline = model.baseline
    ? `compared with ${model.baseline.version}, ${plural(model.baseline.rows, "row")}, ${fixed(model.baseline.age_days, 0)} days old`
    : "no baseline yet";
  byId("state").replaceChildren(
    el("h1", {}, tierBadge(model.state, model.baseline !== null), el("span", {}, model.sentence, since)),
    el("p", { class: "quiet" }, [version && `version ${version}`, baseline, `${plural(model.window.rows, "row")} in ${count(model.window.hours)} h`, model.reason]
      .filter(Boolean).join(" · ")),
  );
  byId("state").dataset.tier = model.state;
  document.title = `${model.state ? `P${model.state}` : model.baseline ? "OK" : "…"} ${model.name} — mlmon`;
}

function showModels(status, current) {
  const buttons = status.models.map((model) => {
    const button = el("button", { type: "button", "aria-pressed": model === current ? "true" : "false" }, tierBadge(model.state, model.baseline !== null), model.name);
    button.addEventListener("click", () => choose(model.name));
    return button;
  });
  const focused = byId("models").contains(document.activeElement);
  byId("models").replaceChildren(...(status.models.length > 1 ? buttons : []));
  if (focused) byId("models").querySelector('[aria-pressed="true"]')?.focus();
}

function showFresh(status) {
  const scale = status.clock_scale === 1 ? "" : ` · time runs ${count(status.clock_scale)} times as fast`;
  byId("fresh").replaceChildren("as of ", moment(status.generated_at_ms, status.generated_at_ms), scale);
}

function choose(name) {
  chosen = name;
  query.set("model", name);
  history.replaceState(null, "", `?${query}`);
  forget("api/series");
  show(shown);
  refresh();
}

async function draw(status) {
  const model = modelOf(status);
  if (!model) return;
  const fresh = drawn.model === model.name && (drawn.minute === model.watermark_minute || performance.now() - drawn.at < CHARTS_EVERY_MS);
  if (fresh) return;
  forget("api/series");
  await drawTiles(model, status.generated_at_ms);
  drawn = { at: performance.now(), model: model.name, minute: model.watermark_minute };
}

function trouble(text) {
  byId("trouble").hidden = !text;
  if (byId("trouble").textContent !== text) byId("trouble").textContent = text;
  document.body.classList.toggle("stale", Boolean(text));
}

document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(timer) : refresh()));
refresh();
