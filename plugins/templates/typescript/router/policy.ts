// Which service a path leads to.
import { header, path } from "cordboard:plugin/request@0.1.0";
import type { Meta } from "cordboard:plugin/meta@0.1.0";
import type { ChannelExtraction } from "cordboard:plugin/channel-extraction@0.1.0";
import type { RoleDetection } from "cordboard:plugin/role-detection@0.1.0";
import type { ServiceResolution } from "cordboard:plugin/service-resolution@0.1.0";

/** What holds where the configuration says nothing. */
const defaults = {
  /** Services by the paths that lead to them. */
  services: { "/ws/echo": "echo" } as Record<string, string>,
};

// Paths and their services, the longest path first. Read by `init`, which every instance is given before anything else.
// Nothing else may last from call to call: the next one may be answered by another instance.
let services = readConfig("{}");

export const meta: Meta = {
  describe: () => ({ name: "{{name}}", version: "0.1.0", description: "Leads paths to services" }),

  init(text) {
    services = readConfig(text);
  },
};

export const roleDetection: RoleDetection = {
  detectRole: () => (findService() === undefined ? undefined : { tag: "routed" }),
};

export const channelExtraction: ChannelExtraction = {
  extractChannel() {
    const id = header("x-group-id");
    return id ? { id, attributes: [] } : undefined; // no opinion
  },
};

export const serviceResolution: ServiceResolution = {
  resolve() {
    const serviceId = findService();
    if (serviceId === undefined) return undefined;
    return { target: { tag: "service", val: { serviceId } }, attributes: [] };
  },
};

/** The service whose path the request's is, or is below. */
function findService(): string | undefined {
  const asked = path();
  return services.find(([prefix]) => asked === prefix || asked.startsWith(`${prefix}/`))?.[1];
}

/** @throws {string} why it is refused: a text, no Error */
function readConfig(text: string): [string, string][] {
  const given: unknown = JSON.parse(text);
  if (!isMap(given)) throw "the configuration must be an object";
  for (const key of Object.keys(given)) {
    if (!Object.hasOwn(defaults, key)) {
      throw `unknown key ${JSON.stringify(key)}; the keys are ${Object.keys(defaults).join(", ")}`;
    }
  }
  const { services }: Record<string, unknown> = { ...defaults, ...given };
  if (!isMap(services) || !areTexts(services)) throw "services must map paths to services";
  return Object.entries(services).sort(([a], [b]) => b.length - a.length);
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function areTexts(map: Record<string, unknown>): map is Record<string, string> {
  return Object.values(map).every((value) => typeof value === "string");
}
