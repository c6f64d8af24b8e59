// Numbers and times for people. A figure that is not there is an en dash, never NaN.

import { el } from "./dom.js";

const NONE = "–";
const whole = new Intl.NumberFormat("en");
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const isNumber = (value) => typeof value === "number" && Number.isFinite(value);

export const count = (value) => (isNumber(value) ? whole.format(value) : NONE);
export const short = (value) => (isNumber(value) ? (Math.abs(value) < 10_000 ? significant(value) : compact.format(value)) : NONE);
export const fixed = (value, digits) => (isNumber(value) ? value.toFixed(digits) : NONE);
export const milliseconds = (value) =>
  !isNumber(value) ? NONE : value >= 1000 ? `${(value / 1000).toFixed(2)} s` : `${significant(value)} ms`;
export const plural = (number, noun) => `${count(number)} ${noun}${number === 1 ? "" : "s"}`;
export const words = (name) => name.replaceAll("_", " ");

/** A share in [0, 1] as per cent, with as many digits as small shares need. */
export function percent(share) {
  if (!isNumber(share)) return NONE;
  const value = share * 100;
  if (value > 0 && value < 0.01) return "<0.01 %";
  return `${value.toFixed(value === 0 || value >= 10 ? 1 : 2).replace(/\.0+$/, "")} %`;
}

function significant(value) {
  return Number.isInteger(value) ? whole.format(value) : value.toPrecision(Math.abs(value) >= 100 ? 4 : 3);
}

/** A span of time from milliseconds: "28 min", "6 h 12 min", "3 d 4 h". */
export function duration(ms) {
  const minutes = Math.max(0, Math.round(ms / 60_000));
  if (minutes < 1) return `${Math.max(0, Math.round(ms / 1000))} s`;
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  const pair = hours < 48 ? [hours, "h", minutes % 60, "min"] : [Math.floor(hours / 24), "d", hours % 24, "h"];
  return pair[2] ? `${pair[0]} ${pair[1]} ${pair[2]} ${pair[3]}` : `${pair[0]} ${pair[1]}`;
}

/** Local time as text; with the day when it is not the day of `now`. */
export function clock(ms, now) {
  const date = new Date(ms);
  const time = date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  const sameDay = date.toDateString() === new Date(now).toDateString();
  return sameDay ? time : `${date.toLocaleDateString([], { day: "numeric", month: "short" })} ${time}`;
}

/** A <time> in local time whose tooltip is UTC. */
export function moment(ms, now) {
  const utc = new Date(ms).toISOString();
  return el("time", { datetime: utc, title: `${utc.slice(0, 19).replace("T", " ")} UTC` }, clock(ms, now));
}
