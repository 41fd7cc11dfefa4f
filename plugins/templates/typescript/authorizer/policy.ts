// Who may enter: whoever has an API key that the configuration knows.
import { header } from "cordboard:plugin/request@0.1.0";
import type { Authorization } from "cordboard:plugin/authorization@0.1.0";
import type { Meta } from "cordboard:plugin/meta@0.1.0";
import type { HeaderField, Rejection } from "cordboard:plugin/types@0.1.0";

interface Config {
  /** Whose the keys are. A Map, because an object has keys of its own, such as "constructor". */
  keys: Map<string, string>;
  /** The header that a key comes in. */
  header: string;
}

/** What holds where the configuration says nothing. */
const defaults = { keys: {}, header: "x-api-key" };

// Read by `init`, which every instance is given before anything else. Nothing else may last from call to call: the next
// one may be answered by another instance.
let config = readConfig("{}");

export const meta: Meta = {
  describe: () => ({ name: "{{name}}", version: "0.1.0", description: "Lets in who has a known API key" }),

  init(text) {
    config = readConfig(text);
  },
};

export const authorization: Authorization = {
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

/** To be thrown as it is: an Error, or a field that is missing, would be a failure of the policy. */
function rejection(status: number, code: string, body: string, headers: HeaderField[] = []): Rejection {
  return { status, code, logReason: "", body, headers, attributes: [] };
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
  const { keys, header }: Record<string, unknown> = { ...defaults, ...given };
  if (!isMap(keys) || !areTexts(keys)) throw "keys must map keys to subjects";
  if (typeof header !== "string") throw "header must be a text";
  return { keys: new Map(Object.entries(keys)), header };
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function areTexts(map: Record<string, unknown>): map is Record<string, string> {
  return Object.values(map).every((value) => typeof value === "string");
}
