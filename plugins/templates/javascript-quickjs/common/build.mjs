// Makes a component of a JavaScript module, with QuickJS in it: node build.mjs MODULE COMPONENT
import { componentize } from "componentize-qjs";
import { readFile, writeFile } from "node:fs/promises";

const [module, output] = process.argv.slice(2);
const { component } = await componentize({
  jsSource: await readFile(module, "utf8"),
  jsPath: module,
  moduleRoot: ".", // modules that it imports are found from here on
  witPath: "wit",
  world: "policy",
  // The other runtime wants asynchronous functions of its host.
  sync: true,
  // Imports of WASI are left in, which the host answers with nothing but a clock and the log. `stubWasi: true` would take
  // them away, and with them `Date` (a trap) and what the engine says of an exception before it traps.
  stubWasi: false,
});
await writeFile(output, component);
