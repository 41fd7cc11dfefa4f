// What a service learns of a request, and what a client does not learn of an answer.
import type { Meta } from "cordboard:plugin/meta@0.1.0";
import type { RequestRewriting } from "cordboard:plugin/request-rewriting@0.1.0";
import type { ResponseRewriting } from "cordboard:plugin/response-rewriting@0.1.0";
import type { Edit, HeaderField } from "cordboard:plugin/types@0.1.0";

interface Config {
  /** Header fields that the service gets, in place of any that the client sent. */
  set: HeaderField[];
  /** Header fields of the client that the service does not get. */
  remove: string[];
  /** Header fields of the service that the client does not get. */
  hide: string[];
}

/** What holds where the configuration says nothing. */
const defaults = { set: {}, remove: [], hide: [] };

// Read by `init`, which every instance is given before anything else. Nothing else may last from call to call: the next
// one may be answered by another instance.
let config = readConfig("{}");

export const meta: Meta = {
  describe: () => ({ name: "{{name}}", version: "0.1.0", description: "Sets and removes header fields" }),

  init(text) {
    config = readConfig(text);
  },
};

export const requestRewriting: RequestRewriting = {
  // Carried out in order: what is set is there, also where it is to be removed.
  rewriteRequest: () => [...config.remove.map(remove), ...config.set.map(set)],
};

export const responseRewriting: ResponseRewriting = {
  // Status and header of the answer would be its arguments. Fields that are no text are not in that header.
  rewriteResponse: () => config.hide.map(remove),
};

function remove(name: string): Edit {
  return { tag: "remove", val: name };
}

function set(field: HeaderField): Edit {
  return { tag: "set", val: field };
}

/** @throws {string} why it is refused: a text, no Error */
function readConfig(text: string): Config {
  const given: unknown = JSON.parse(text);
  if (!isMap(given)) throw "the configuration must be an object";
  for (const key of Object.keys(given)) {
    if (!Object.hasOwn(defaults, key)) {
      throw `unknown key ${JSON.stringify(key)}; the keys are ${Object.keys(defaults).join(", ")}`;
    }
  }
  const { set, remove, hide }: Record<string, unknown> = { ...defaults, ...given };
  if (!isMap(set) || !areTextsOf(set)) throw "set must map names to values";
  if (!areTexts(remove)) throw "remove must be a list of texts";
  if (!areTexts(hide)) throw "hide must be a list of texts";
  return { set: Object.entries(set), remove, hide };
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function areTextsOf(map: Record<string, unknown>): map is Record<string, string> {
  return areTexts(Object.values(map));
}

function areTexts(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((item) => typeof item === "string");
}
