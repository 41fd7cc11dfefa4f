// Masks words in messages, and ends sessions in which that happens too often.
import { write } from "cordboard:host/log@0.1.0";
import { attachment, setAttachment } from "cordboard:plugin/connection@0.1.0";
import { messages } from "cordboard:plugin/interest@0.1.0";
import { text } from "cordboard:plugin/message@0.1.0";
import type { FilterMigration } from "cordboard:plugin/filter-migration@0.1.0";
import type { MessageFiltering } from "cordboard:plugin/message-filtering@0.1.0";
import type { Meta } from "cordboard:plugin/meta@0.1.0";

interface Config {
  /** What is masked. */
  words: string[];
  /** How many messages of a session may be masked. */
  most: number;
}

/** What holds where the configuration says nothing. */
const defaults: Config = { words: ["secret"], most: 3 };

// Read by `init`, which every instance is given before anything else. Nothing else may last from call to call: the next
// message may be shown to another instance. What belongs to a connection is kept by the host, as its attachment.
let config = defaults;

export const meta: Meta = {
  describe: () => ({ name: "{{name}}", version: "0.1.0", description: "Masks words in messages" }),

  init(text) {
    config = readConfig(text);
  },
};

export const messageFiltering: MessageFiltering = {
  open() {
    messages("to-backend", "text", 65536, "pass");
    messages("to-client", "text", 65536, "pass");
  },

  onMessage() {
    const said = text() ?? "";
    if (!config.words.some((word) => said.includes(word))) return [{ tag: "forward" }];

    const masked = readCount() + 1;
    if (masked > config.most) {
      return [{ tag: "close", val: { code: 1008, reason: "too many masked messages" } }];
    }
    keepCount(masked);
    const rest = config.words.reduce((rest, word) => rest.replaceAll(word, "***"), said);
    return [{ tag: "emit", val: { tag: "text", val: rest } }];
  },
};

export const filterMigration: FilterMigration = {
  // Whether this version takes over a session that another one began (`reload.sessions: migrate`), with what that one
  // kept of it. A text that is thrown leaves the session where it is.
  migrate(fromVersion) {
    if (Number.isNaN(readCount())) throw `${fromVersion} kept something else than a count`;
  },
};

// The attachment is bytes, here those of decimal digits. QuickJS has no TextEncoder, and digits need none.
function readCount(): number {
  return Number(String.fromCharCode(...attachment())); // "" is 0
}

function keepCount(count: number): void {
  try {
    setAttachment(Uint8Array.from(String(count), (digit) => digit.charCodeAt(0)));
  } catch (error) {
    write("warn", `the count was not kept: ${(error as { payload: string }).payload}`, []);
  }
}

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
  const { words, most }: Record<string, unknown> = { ...defaults, ...given };
  if (!Array.isArray(words) || words.some((word) => typeof word !== "string")) throw "words must be a list of texts";
  if (typeof most !== "number" || !Number.isInteger(most) || most < 0 || most > 1_000_000) {
    throw "most must be a whole number from 0 to 1000000";
  }
  return { words, most };
}
