// Questions to the hub. Tags are kept here, because the answers themselves must not be stored by the browser.

const known = new Map(); // address -> { tag, data }

export class HubTrouble extends Error {
  constructor(status, hint) {
    super(hint);
    this.status = status; // 0: no answer at all
  }
}

/** The JSON at `path` (relative to the page), from memory where the hub says it is unchanged. */
export async function ask(path, params = {}) {
  const query = new URLSearchParams(params).toString();
  const address = query ? `${path}?${query}` : path;
  const held = known.get(address);
  let answer;
  try {
    answer = await fetch(address, { headers: held ? { "If-None-Match": held.tag } : {}, credentials: "same-origin" });
  } catch {
    throw new HubTrouble(0, "The server does not answer. Trying again.");
  }
  if (answer.status === 304 && held) return held.data;
  if (!answer.ok) throw new HubTrouble(answer.status, await reason(answer));
  const data = await answer.json();
  known.set(address, { tag: answer.headers.get("ETag") ?? "", data });
  return data;
}

/** Forget answers to addresses that are not asked any more. */
export function forget(prefix) {
  for (const address of known.keys()) if (address.startsWith(prefix)) known.delete(address);
}

async function reason(answer) {
  if (answer.status === 401) return "The session has ended. Open the page with its token again.";
  try {
    const { message, hint } = await answer.json();
    return `${message}. ${hint}`;
  } catch {
    return `The server answers with status ${answer.status}.`;
  }
}
