// What happened: lanes over time for the eye, and the same as a list in words.

import { told } from "./details.js";
import { el, tierBadge } from "./dom.js";
import { clock, duration, fixed, moment, plural, words } from "./format.js";

const LANES = [
  ["infrastructure", "Infrastructure"],
  ["data", "Data"],
  ["prediction", "Predictions"],
  ["outcome", "Outcomes"],
  ["skew", "Skew"],
];
const LISTED = 30;
const MARGIN = 0.04; // of the span, before the first incident
const unfolded = new Set(); // keys of incidents whose details are shown

export function showIncidents(host, incidents, now, hours) {
  const open = incidents.filter((each) => each.resolved_ms === null).length;
  const summary = incidents.length ? `${open} open, ${incidents.length - open} resolved` : "none so far";
  const heading = el("header", {}, el("h2", { id: "incidents-title" }, "Incidents"), el("span", { class: "quiet" }, summary));
  if (!incidents.length) {
    const why = "Nothing has crossed an alarm line. A rule that cannot judge yet says so in its layer's tile.";
    host.replaceChildren(heading, el("p", { class: "empty" }, why));
    return;
  }
  const first = Math.min(now - hours * 3_600_000, ...incidents.map((each) => each.opened_ms));
  const from = first - (now - first) * MARGIN;
  const rows = incidents.slice(0, LISTED).map((each) => row(each, now));
  const more = incidents.length - rows.length;
  host.replaceChildren(heading, lanes(incidents, from, now), el("ol", { class: "incident-list" }, rows),
    ...(more ? [el("p", { class: "quiet" }, `${plural(more, "older incident")} at api/incidents`)] : []));
}

const anchor = (incident) => `incident-${incident.key}`;

function lanes(incidents, from, to) {
  const place = (ms) => ((ms - from) / (to - from)) * 100;
  const shown = LANES.filter(([layer]) => layer !== "skew" || incidents.some((each) => each.layer === layer));
  const rows = shown.map(([layer, title]) => {
    const own = incidents.filter((each) => each.layer === layer).sort((a, b) => b.tier - a.tier);
    return el("div", { class: "lane" }, el("span", { class: "lane-name" }, title),
      el("span", { class: "lane-track" }, own.map((each) => span(each, place, to))));
  });
  return el("div", { class: "lanes" }, rows, axis(from, to, place));
}

function span(incident, place, now) {
  const end = incident.resolved_ms ?? now;
  const words = `P${incident.tier} ${incident.summary}, ${clock(incident.opened_ms, now)} to ${incident.resolved_ms ? clock(end, now) : "now"}`;
  const node = el("a", {
    class: `span tier${incident.tier} ${incident.resolved_ms ? "" : "open"}`,
    href: `#${encodeURIComponent(anchor(incident))}`, title: words, "aria-label": words,
  });
  node.style.left = `${place(incident.opened_ms)}%`;
  node.style.width = `${Math.max(0, place(end) - place(incident.opened_ms))}%`;
  return node;
}

function axis(from, to, place) {
  const hour = 3_600_000;
  const step = [1, 2, 3, 6, 12, 24, 48, 96, 168, 336, 720, 2160].map((hours) => hours * hour).find((each) => (to - from) / each <= 8) ?? (to - from);
  const zone = new Date(to).getTimezoneOffset() * 60_000;
  const ticks = [];
  for (let at = Math.ceil((from - zone) / step) * step + zone; at < to; at += step) {
    if (place(at) > 91) break; // would run over the edge
    const tick = el("span", { class: "tick" }, step >= 24 * hour ? new Date(at).toLocaleDateString([], { day: "numeric", month: "short" }) : clock(at, to));
    tick.style.left = `${place(at)}%`;
    ticks.push(tick);
  }
  ticks.push(el("span", { class: "now" }, "now"));
  return el("div", { class: "lane axis", "aria-hidden": "true" }, el("span", { class: "lane-name" }), el("span", { class: "lane-track" }, ticks));
}

function row(incident, now) {
  const open = incident.resolved_ms === null;
  const lasted = duration((incident.resolved_ms ?? now) - incident.opened_ms);
  const until = open ? el("b", {}, "open") : moment(incident.resolved_ms, incident.opened_ms);
  return el("li", { class: open ? "incident" : "incident resolved", id: anchor(incident), tabindex: "-1" },
    tierBadge(incident.tier),
    el("div", { class: "what" },
      el("p", {}, incident.summary),
      el("p", { class: "quiet" }, `${words(incident.layer)} · ${words(incident.rule)}${incident.provisional ? " · provisional" : ""}`,
        incident.features.map((name) => el("code", { class: "chip" }, name))),
      details(incident)),
    el("p", { class: "when" }, moment(incident.opened_ms, now), " – ", until, el("span", { class: "quiet" }, lasted)),
    el("p", { class: "evidence" }, el("span", { class: "quiet" }, "evidence "), fixed(incident.evidence, 2)));
}

function details(incident) {
  if (!Object.keys(incident.details).length) return null;
  const node = el("details", { open: unfolded.has(incident.key) }, el("summary", {}, "Details"), told(incident));
  node.addEventListener("toggle", () => (node.open ? unfolded.add(incident.key) : unfolded.delete(incident.key)));
  return node;
}
