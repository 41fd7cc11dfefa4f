// @ts-check
// Who comes back takes the seat that it still holds, as after a page was loaded anew.
import { nowMs } from "cordboard:host/clock@0.1.0";
import * as holder from "cordboard:plugin/connection@0.1.0";
import * as newcomer from "cordboard:plugin/request@0.1.0";
/**
 * @import { Rejection } from "cordboard:plugin/types@0.1.0"
 * @import { Meta } from "cordboard:plugin/meta@0.1.0"
 * @import { Pairing } from "cordboard:plugin/pairing@0.1.0"
 */

/** What the configuration may say, and what holds where it says nothing. */
const defaults = {
  /** Seconds for which a seat is not taken again, so that two pages do not fight. */
  patience: 10,
};

// Read by `init`, which every instance is given before anything else. Nothing else may last from call to call: the next
// one may be answered by another instance.
let config = defaults;

/** @type {Meta} */
export const meta = {
  describe: () => ({ name: "{{name}}", version: "0.1.0", description: "Gives a seat back to who comes back" }),

  init(text) {
    config = readConfig(text);
  },
};

/** @type {Pairing} */
export const pairing = {
  decide() {
    // Asked about the one on the other side as well, whom it is to be joined with.
    const isSameSeat = newcomer.role()?.tag === holder.role().tag;
    // Who it is says an authorizer. Two without a name are not the same; none is `null` or `undefined`, by the engine.
    const subject = newcomer.identity()?.subject ?? undefined;
    if (!isSameSeat || subject === undefined || subject !== holder.identity()?.subject) {
      return undefined; // no opinion: the next plugin is asked, and last the route's rule holds
    }
    // A number of 64 bits is a `bigint` on one engine.
    const age = Number(nowMs()) - Number(holder.openedAtMs());
    if (age < config.patience * 1000) {
      // Thrown as it stands in the contract: an Error, or a field that is missing, would be a failure of the policy.
      throw /** @satisfies {Rejection} */ ({
        status: 429,
        code: "too-soon",
        logReason: "",
        body: "This seat was taken a moment ago.\n",
        headers: [["retry-after", String(config.patience)]],
        attributes: [],
      });
    }
    return "replace";
  },
};

/** @param {string} text @throws {string} why it is refused: a text, no Error */
function readConfig(text) {
  const given = JSON.parse(text);
  if (typeof given !== "object" || given === null || Array.isArray(given)) {
    throw "the configuration must be an object";
  }
  for (const key of Object.keys(given)) {
    if (!Object.hasOwn(defaults, key)) {
      throw `unknown key ${JSON.stringify(key)}; the keys are ${Object.keys(defaults).join(", ")}`;
    }
  }
  const { patience } = { ...defaults, ...given };
  if (!Number.isInteger(patience) || patience < 0 || patience > 3600) {
    throw "patience must be a whole number from 0 to 3600";
  }
  return { patience };
}
