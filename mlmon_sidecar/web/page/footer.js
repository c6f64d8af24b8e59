// What the monitor says about itself: what it took, what it lost and why, where it keeps and sends things.

import { el } from "./dom.js";
import { count, duration, moment, plural, words } from "./format.js";

const SILENT_MS = 30_000; // of a recorder, on the machine's clock

export function showFooter(host, status) {
  host.replaceChildren(
    block("Captured", identity(status.counters)),
    block("Hub", hub(status.hub)),
    block("Export", exported(status.export)),
    block("Privacy", [el("p", {}, status.privacy)]),
  );
}

const block = (title, children) => el("section", {}, el("h2", {}, title), children);

function identity(counters) {
  const lost = Object.entries(counters.dropped).filter(([, number]) => number);
  const dropped = lost.reduce((sum, [, number]) => sum + number, 0);
  const moving = counters.requests - counters.captured - dropped;
  const sum = `${plural(counters.requests, "request")} = ${count(counters.captured)} captured + ${count(dropped)} dropped`;
  return [
    el("p", {}, moving ? `${sum} + ${count(moving)} in flight` : sum),
    el("p", { class: "quiet" }, lost.length ? lost.map(([reason, number]) => `${words(reason)} ${count(number)}`).join(" · ") : "nothing lost"),
    el("p", { class: "quiet" }, `${plural(counters.rows, "row")}, ${count(counters.stored)} stored`),
  ];
}

function hub(view) {
  const lost = view.recorders.reduce((sum, each) => sum + each.lost, 0);
  const silent = view.recorders.filter((each) => each.seen_ms_ago > SILENT_MS);
  return [
    el("p", {}, `${view.role}, process ${view.pid}`),
    view.problem ? el("p", { class: "word alert" }, view.problem) : "",
    el("p", { class: "quiet" }, el("code", {}, view.store), ` schema ${view.schema}`),
    el("p", { class: "quiet" }, `${plural(view.recorders.length, "recorder")}, ${plural(lost, "flush").replace("flushs", "flushes")} lost`,
      silent.length ? `, silent: ${silent.map((each) => `${each.host}/${each.pid} for ${duration(each.seen_ms_ago)}`).join(", ")}` : ""),
  ];
}

function exported(view) {
  if (!view.target) return [el("p", {}, "nothing leaves the process"), el("p", { class: "quiet" }, "no OTLP endpoint is configured")];
  const signals = Object.entries(view.last).map(([signal, { outcome, at_ms }]) =>
    el("p", { class: outcome === "ok" ? "quiet" : "word alert" }, `${signal}: ${outcome}, `, moment(at_ms, at_ms)));
  return [el("p", {}, el("code", {}, view.target)), ...(signals.length ? signals : [el("p", { class: "quiet" }, "nothing sent yet")])];
}
