// @ts-check
// Who is a client, who is a backend, and on which channel they meet.
import { pathSegments, queryParam } from "cordboard:plugin/request@0.1.0";
/**
 * @import { Rejection } from "cordboard:plugin/types@0.1.0"
 * @import { Meta } from "cordboard:plugin/meta@0.1.0"
 * @import { RoleDetection } from "cordboard:plugin/role-detection@0.1.0"
 * @import { ChannelExtraction } from "cordboard:plugin/channel-extraction@0.1.0"
 */

/** What the configuration may say, and what holds where it says nothing. */
const defaults = {
  /** The query parameter that names the channel. */
  parameter: "channelId",
  /** The last segment of a backend's path. */
  backend: "connect",
};

// Read by `init`, which every instance is given before anything else. Nothing else may last from call to call: the next
// one may be answered by another instance.
let config = defaults;

/** @type {Meta} */
export const meta = {
  describe: () => ({ name: "{{name}}", version: "0.1.0", description: "Joins clients and backends by path and query" }),

  init(text) {
    config = readConfig(text);
  },
};

/** @type {RoleDetection} */
export const roleDetection = {
  detectRole: () => ({ tag: pathSegments().at(-1) === config.backend ? "backend" : "client" }),
};

/** @type {ChannelExtraction} */
export const channelExtraction = {
  extractChannel() {
    const id = queryParam(config.parameter);
    if (!id) {
      // Thrown as it stands in the contract: an Error, or a field that is missing, would be a failure of the policy.
      throw /** @satisfies {Rejection} */ ({
        status: 400,
        code: "channel-missing",
        logReason: `no query parameter ${config.parameter}`,
        body: `Name a channel: ?${config.parameter}=...\n`,
        headers: [],
        attributes: [],
      });
    }
    return { id, attributes: [] };
  },
};

/** @param {string} text @throws {string} why it is refused: a text, no Error */
function readConfig(text) {
  const given = JSON.parse(text);
  if (typeof given !== "object" || given === null || Array.isArray(given)) {
    throw "the configuration must be an object";
  }
  for (const [key, value] of Object.entries(given)) {
    if (!Object.hasOwn(defaults, key)) {
      throw `unknown key ${JSON.stringify(key)}; the keys are ${Object.keys(defaults).join(", ")}`;
    }
    if (typeof value !== "string") throw `${key} must be a text`;
  }
  return { ...defaults, ...given };
}
