// A line in the log for each session that ends: how long it was, whose, and why it ended.
import { write } from "cordboard:host/log@0.1.0";
import { identity, openedAtMs } from "cordboard:plugin/connection@0.1.0";
import type { Lifecycle } from "cordboard:plugin/lifecycle@0.1.0";
import type { Meta } from "cordboard:plugin/meta@0.1.0";

interface Config {
  /** Only of sessions that broke, without a Close. */
  broken: boolean;
}

/** What holds where the configuration says nothing. */
const defaults: Config = { broken: false };

/** What stands in for a Close where there was none (RFC 6455 §7.1.5). */
const noClose = "1006";

// Read by `init`, which every instance is given before anything else. Nothing else may last from call to call: the next
// event may be told to another instance.
let config = defaults;

export const meta: Meta = {
  describe: () => ({ name: "{{name}}", version: "0.1.0", description: "Logs how sessions end" }),

  init(text) {
    config = readConfig(text);
  },
};

export const lifecycle: Lifecycle = {
  // Told beside the data path: nothing waits for this, and nothing can be decided here.
  onEvent(event) {
    // Names and attributes are open sets: what is not known is ignored.
    if (event.name !== "closed") return;
    const said = new Map(event.attributes);
    const code = said.get("code") ?? "?";
    if (config.broken && code !== noClose) return;

    // Numbers of 64 bits are `bigint`s on one engine.
    const seconds = Math.trunc(Math.max(Number(event.atMs) - Number(openedAtMs()), 0) / 1000);
    const fields: [string, string][] = [
      ["seconds", String(seconds)],
      ["subject", identity()?.subject ?? "?"],
      ["by", said.get("by") ?? "?"],
      ["code", code],
    ];
    if (code === noClose) write("warn", "a session broke", fields);
    else write("info", "a session ended", fields);
  },
};

/** @throws {string} why it is refused: a text, no Error */
function readConfig(text: string): Config {
  const given: unknown = JSON.parse(text);
  if (typeof given !== "object" || given === null || Array.isArray(given)) {
    throw "the configuration must be an object";
  }
  for (const key of Object.keys(given)) {
    if (!Object.hasOwn(defaults, key)) {
      throw `unknown key ${JSON.stringify(key)}; the keys are ${Object.keys(defaults).join(", ")}`;
    }
  }
  const { broken }: Record<string, unknown> = { ...defaults, ...given };
  if (typeof broken !== "boolean") throw "broken must be true or false";
  return { broken };
}
