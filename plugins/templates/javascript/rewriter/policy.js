// @ts-check
// What a service learns of a request, and what a client does not learn of an answer.
/**
 * @import { Edit } from "cordboard:plugin/types@0.1.0"
 * @import { Meta } from "cordboard:plugin/meta@0.1.0"
 * @import { RequestRewriting } from "cordboard:plugin/request-rewriting@0.1.0"
 * @import { ResponseRewriting } from "cordboard:plugin/response-rewriting@0.1.0"
 */

/** What the configuration may say, and what holds where it says nothing. */
const defaults = {
  /** Header fields that the service gets, in place of any that the client sent. */
  set: {},
  /** Header fields of the client that the service does not get. */
  remove: [],
  /** Header fields of the service that the client does not get. */
  hide: [],
};

// Read by `init`, which every instance is given before anything else. Nothing else may last from call to call: the next
// one may be answered by another instance.
let config = readConfig("{}");

/** @type {Meta} */
export const meta = {
  describe: () => ({ name: "{{name}}", version: "0.1.0", description: "Sets and removes header fields" }),

  init(text) {
    config = readConfig(text);
  },
};

/** @type {RequestRewriting} */
export const requestRewriting = {
  // Carried out in order: what is set is there, also where it is to be removed.
  rewriteRequest: () => [...config.remove.map(remove), ...config.set.map(set)],
};

/** @type {ResponseRewriting} */
export const responseRewriting = {
  // Status and header of the answer would be its arguments. Fields that are no text are not in that header.
  rewriteResponse: () => config.hide.map(remove),
};

/** @param {string} name @returns {Edit} */
function remove(name) {
  return { tag: "remove", val: name };
}

/** @param {[string, string]} field @returns {Edit} */
function set(field) {
  return { tag: "set", val: field };
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
  const { set, remove, hide } = { ...defaults, ...given };
  const isMap = typeof set === "object" && set !== null && !Array.isArray(set);
  if (!isMap || !areTexts(Object.values(set))) throw "set must map names to values";
  if (!areTexts(remove)) throw "remove must be a list of texts";
  if (!areTexts(hide)) throw "hide must be a list of texts";
  return { set: Object.entries(set), remove, hide };
}

/** @param {unknown} list @returns {list is string[]} */
function areTexts(list) {
  return Array.isArray(list) && list.every((item) => typeof item === "string");
}
