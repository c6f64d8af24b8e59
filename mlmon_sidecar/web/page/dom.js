// Elements from text alone: nothing that arrives from the hub is ever parsed as HTML.

/** An element with properties (class names under `class`, attributes by name) and children (nodes or text). */
export function el(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

export const byId = (id) => document.getElementById(id);

/** A badge that says the tier in words; colour and weight only repeat it. Without an open tier: OK, if anything is judged. */
export function tierBadge(tier, judged = true) {
  if (tier) return el("span", { class: `badge tier${tier}` }, `P${tier}`);
  return judged ? el("span", { class: "badge calm" }, "OK") : el("span", { class: "badge unknown" }, "not judged");
}

/** A share drawn as a horizontal bar. Sizes go through the style object: the policy forbids style attributes. */
export function bar(share, className) {
  const fill = el("span", { class: "fill" });
  fill.style.width = `${Math.max(0, Math.min(1, share)) * 100}%`;
  return el("span", { class: `bar ${className}`, "aria-hidden": "true" }, fill);
}
