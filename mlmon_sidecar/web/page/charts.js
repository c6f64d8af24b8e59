// One small chart: lines over time, with a legend that reads the values under the pointer.

import { el } from "./dom.js";
import { clock } from "./format.js";

const AXIS_FONT = '11px Inter, -apple-system, "Segoe UI", Roboto, "Liberation Sans", system-ui, sans-serif';
const SHARED_CURSOR = "mlmon";
const FEW_POINTS = 12; // below it, single points are drawn as dots
const live = new Set();

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  for (const chart of live) chart.plot?.redraw();
});

export class Chart {
  /**
   * @param {object} options  title: what the lines are, for people who hear the page; height in pixels; format: of a
   *   value; range: ([low, high]) => [low, high] of the value axis; rule: a value marked by a dashed line, or null
   */
  constructor(options) {
    this.options = { rule: null, height: 88, range: fromZero, ...options };
    this.legend = el("p", { class: "legend" });
    this.canvas = el("div", { class: "plot" });
    this.canvas.style.height = `${this.options.height}px`;
    this.empty = el("p", { class: "empty" });
    this.node = el("div", { class: this.options.height > 100 ? "chart tall" : "chart", role: "img" }, this.legend, this.canvas, this.empty);
    this.plot = null;
    this.shape = "";
    new ResizeObserver(() => this.fit()).observe(this.canvas);
    live.add(this);
  }

  /** lines: [{ name, colour, dash, area, data: {t, v}, note }], span: [from, to] in ms; why: said when there is no data */
  show(lines, span, why) {
    this.lines = lines;
    this.span = span;
    const drawn = lines.some((line) => line.data.v.some((value) => value !== null));
    this.canvas.hidden = this.legend.hidden = !drawn;
    this.empty.hidden = drawn;
    this.empty.textContent = drawn ? "" : why;
    this.node.setAttribute("aria-label", drawn ? this.spoken() : `${this.options.title}: ${why}`);
    if (!drawn) return;
    this.data = aligned(lines);
    this.dots = this.data[0].filter((t) => t >= span[0]).length < FEW_POINTS;
    const shape = lines.map((line) => `${line.colour}${line.dash}${line.area}`).join();
    if (this.plot && shape === this.shape) this.plot.setData(this.data);
    else this.draw(shape);
    this.read(null);
  }

  draw(shape) {
    this.plot?.destroy();
    this.shape = shape;
    this.plot = new uPlot(this.setup(), this.data, this.canvas);
  }

  fit() {
    const width = this.canvas.clientWidth;
    if (width && this.plot && width !== this.plot.width) this.plot.setSize({ width, height: this.options.height });
  }

  setup() {
    const { height, range, format } = this.options;
    const axis = { stroke: () => colour("quiet"), font: AXIS_FONT, ticks: { show: false } };
    return {
      width: Math.max(80, this.canvas.clientWidth),
      height,
      ms: 1,
      padding: [8, 8, 0, 0],
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, points: { size: 6 }, sync: { key: SHARED_CURSOR, setSeries: false } },
      scales: {
        x: { time: true, range: () => this.span },
        y: { range: (_, low, high) => range([low, high]) },
      },
      series: [{}, ...this.lines.map((line, at) => this.stroke(line, at))],
      axes: [
        { ...axis, size: 22, gap: 5, space: 64, grid: { show: false }, values: (_, at) => at.map((ms) => this.tick(ms)) },
        { ...axis, size: 42, gap: 6, space: 24, grid: { stroke: () => colour("line"), width: 1 },
          values: (_, at) => at.map((value) => format(value)) },
      ],
      hooks: { setCursor: [(plot) => this.read(plot.cursor.idx)], draw: [(plot) => this.mark(plot)] },
    };
  }

  stroke(line) {
    return {
      stroke: () => colour(line.colour),
      fill: line.area ? () => `${colour(line.colour)}1f` : undefined,
      width: 1.5,
      dash: line.dash ? [5, 4] : undefined,
      points: { show: () => this.dots, size: 4, fill: () => colour(line.colour) },
    };
  }

  /** The dashed line of `rule`, where it lies inside the axis. */
  mark(plot) {
    const { rule } = this.options;
    const { min, max } = plot.scales.y;
    if (rule === null || rule < min || rule > max) return;
    const { ctx, bbox } = plot;
    const y = plot.valToPos(rule, "y", true);
    ctx.save();
    ctx.strokeStyle = colour("tier1");
    ctx.setLineDash([3, 3].map((length) => length * devicePixelRatio));
    ctx.lineWidth = devicePixelRatio;
    ctx.beginPath();
    ctx.moveTo(bbox.left, y);
    ctx.lineTo(bbox.left + bbox.width, y);
    ctx.stroke();
    ctx.restore();
  }

  tick(ms) {
    const long = this.span[1] - this.span[0] > 3 * 86_400_000;
    return long
      ? new Date(ms).toLocaleDateString([], { day: "numeric", month: "short" })
      : new Date(ms).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  }

  /** Fill the legend with the values at `index`, or with each line's last one. */
  read(index) {
    const keys = this.lines.map((line, at) => {
      const values = this.data[at + 1];
      const value = index === null || index === undefined ? values.findLast((each) => each !== null && each !== undefined) : values[index];
      const swatch = el("span", { class: `swatch ${line.dash ? "dashed" : ""}` });
      swatch.style.color = `var(--${line.colour})`;
      const note = line.note ? el("span", { class: "quiet" }, ` ${line.note}`) : null;
      return el("span", { class: "key" }, swatch, el("span", { class: "name", title: line.name }, line.name), el("b", {}, this.options.format(value)), note);
    });
    const when = index === null || index === undefined ? "" : clock(this.data[0][index], this.span[1]);
    this.legend.replaceChildren(...keys, el("span", { class: "when" }, when));
  }

  spoken() {
    const parts = this.lines.map(({ name, data }) => {
      const values = data.v.filter((value) => value !== null);
      if (!values.length) return `${name} has no values`;
      const say = this.options.format;
      return `${name} last ${say(values.at(-1))}, between ${say(Math.min(...values))} and ${say(Math.max(...values))}`;
    });
    return `${this.options.title}: ${parts.join("; ")}`;
  }
}

/** Value axis from zero, with room above. */
export const fromZero = ([, high]) => [0, (high > 0 ? high : 1) * 1.12];

/** Value axis around the values, at least `least` high, within [floor, ceiling]. */
export const around = (least, floor, ceiling) => ([low, high]) => {
  if (low === null || high === null) return [floor, floor + least];
  const margin = Math.max((high - low) * 0.15, (least - (high - low)) / 2, 0);
  return [Math.max(floor, low - margin), Math.min(ceiling, high + margin)];
};

/** Lines of different times on one time axis, as uPlot takes them. Times a line lacks are undefined, not gaps. */
function aligned(lines) {
  const times = [...new Set(lines.flatMap((line) => line.data.t))].sort((a, b) => a - b);
  const columns = lines.map(({ data }) => {
    const at = new Map(data.t.map((t, index) => [t, data.v[index]]));
    return times.map((t) => at.get(t));
  });
  return [times, ...columns];
}
