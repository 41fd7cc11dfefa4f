// @ts-check
// Which service a path leads to.
import { header, path } from "cordboard:plugin/request@0.1.0";
/**
 * @import { Meta } from "cordboard:plugin/meta@0.1.0"
 * @import { RoleDetection } from "cordboard:plugin/role-detection@0.1.0"
 * @import { ChannelExtraction } from "cordboard:plugin/channel-extraction@0.1.0"
 * @import { ServiceResolution } from "cordboard:plugin/service-resolution@0.1.0"
 */

/** What the configuration may say, and what holds where it says nothing. */
const defaults = {
  /** Services by the paths that lead to them. */
  services: { "/ws/echo": "echo" },
};

// Paths and their services, the longest path first. Read by `init`, which every instance is given before anything else.
// Nothing else may last from call to call: the next one may be answered by another instance.
let services = readConfig("{}");

/** @type {Meta} */
export const meta = {
  describe: () => ({ name: "{{name}}", version: "0.1.0", description: "Leads paths to services" }),

  init(text) {
    services = readConfig(text);
  },
};

/** @type {RoleDetection} */
export const roleDetection = {
  detectRole: () => (findService() === undefined ? undefined : { tag: "routed" }),
};

/** @type {ChannelExtraction} */
export const channelExtraction = {
  extractChannel() {
    const id = header("x-group-id");
    return id ? { id, attributes: [] } : undefined; // no opinion
  },
};

/** @type {ServiceResolution} */
export const serviceResolution = {
  resolve() {
    const serviceId = findService();
    if (serviceId === undefined) return undefined;
    return { target: { tag: "service", val: { serviceId } }, attributes: [] };
  },
};

/** The service whose path the request's is, or is below. */
function findService() {
  const asked = path();
  return services.find(([prefix]) => asked === prefix || asked.startsWith(`${prefix}/`))?.[1];
}

/** @param {string} text @returns {[string, string][]} @throws {string} why it is refused: a text, no Error */
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
  const { services } = { ...defaults, ...given };
  const isMap = typeof services === "object" && services !== null && !Array.isArray(services);
  if (!isMap || Object.values(services).some((service) => typeof service !== "string")) {
    throw "services must map paths to services";
  }
  return Object.entries(services).sort(([a], [b]) => b.length - a.length);
}
