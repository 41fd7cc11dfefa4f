// Ends sessions after a time, so that who it is is asked again. How often it is asked about a session says the proxy:
// `plugins.NAME.recheck`.
import { nowMs } from "cordboard:host/clock@0.1.0";
import { identity, openedAtMs } from "cordboard:plugin/connection@0.1.0";
import type { Meta } from "cordboard:plugin/meta@0.1.0";
import type { SessionAuthorization } from "cordboard:plugin/session-authorization@0.1.0";
import type { CloseFrame } from "cordboard:plugin/types@0.1.0";

interface Config {
  /** Seconds that a session may last. */
  longest: number;
  /** Subjects whose sessions last as long as they like. */
  exempt: string[];
}

/** What holds where the configuration says nothing. */
const defaults: Config = { longest: 3600, exempt: [] };

// Read by `init`, which every instance is given before anything else. Nothing else may last from call to call: the next
// one may be answered by another instance.
let config = defaults;

export const meta: Meta = {
  describe: () => ({ name: "{{name}}", version: "0.1.0", description: "Ends sessions after a time" }),

  init(text) {
    config = readConfig(text);
  },
};

export const sessionAuthorization: SessionAuthorization = {
  recheck() {
    const subject = identity()?.subject;
    // None is `null` on one engine and `undefined` on the other.
    if (subject != null && config.exempt.includes(subject)) return;
    // Numbers of 64 bits are `bigint`s on one engine.
    if (Number(nowMs()) - Number(openedAtMs()) < config.longest * 1000) return;
    // The Close that the session gets; an Error would be a failure of the policy. 4401 asks a client to sign in and to
    // dial again.
    throw { code: 4401, reason: "sign in again" } satisfies CloseFrame;
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
  const { longest, exempt }: Record<string, unknown> = { ...defaults, ...given };
  if (typeof longest !== "number" || !Number.isInteger(longest) || longest < 0 || longest > 604_800) {
    throw "longest must be a whole number from 0 to 604800";
  }
  if (!Array.isArray(exempt) || exempt.some((name) => typeof name !== "string")) throw "exempt must be a list of texts";
  return { longest, exempt };
}
