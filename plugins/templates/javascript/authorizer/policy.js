// @ts-check
// Who may enter: whoever has an API key that the configuration knows.
import { header } from "cordboard:plugin/request@0.1.0";
/**
 * @import { HeaderField, Rejection } from "cordboard:plugin/types@0.1.0"
 * @import { Meta } from "cordboard:plugin/meta@0.1.0"
 * @import { Authorization } from "cordboard:plugin/authorization@0.1.0"
 */

/** What the configuration may say, and what holds where it says nothing. */
const defaults = {
  /** Whose the keys are. */
  keys: {},
  /** The header that a key comes in. */
  header: "x-api-key",
};

// Read by `init`, which every instance is given before anything else. Nothing else may last from call to call: the next
// one may be answered by another instance.
let config = readConfig("{}");

/** @type {Meta} */
export const meta = {
  describe: () => ({ name: "{{name}}", version: "0.1.0", description: "Lets in who has a known API key" }),

  init(text) {
    config = readConfig(text);
  },
};

/** @type {Authorization} */
export const authorization = {
  authorize() {
    const key = header(config.header);
    // None is `null` on one engine and `undefined` on the other; an empty key is one, if an unknown one.
    if (key == null) {
      throw rejection(401, "key-missing", "An API key is needed.\n", [["www-authenticate", "ApiKey"]]);
    }
    const subject = config.keys.get(key);
    if (subject === undefined) throw rejection(403, "key-unknown", "This key is not known.\n");
    return { subject, roles: [], attributes: [] };
  },
};

/**
 * To be thrown as it is: an Error, or a field that is missing, would be a failure of the policy.
 *
 * @param {number} status
 * @param {string} code
 * @param {string} body
 * @param {HeaderField[]} [headers]
 * @returns {Rejection}
 */
function rejection(status, code, body, headers = []) {
  return { status, code, logReason: "", body, headers, attributes: [] };
}

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
  const { keys, header } = { ...defaults, ...given };
  const isMap = typeof keys === "object" && keys !== null && !Array.isArray(keys);
  if (!isMap || Object.values(keys).some((subject) => typeof subject !== "string")) {
    throw "keys must map keys to subjects";
  }
  if (typeof header !== "string") throw "header must be a text";
  // A Map, because an object has keys of its own, such as "constructor".
  return { keys: new Map(Object.entries(keys)), header };
}
