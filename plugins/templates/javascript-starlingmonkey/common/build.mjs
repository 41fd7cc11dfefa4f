// Makes a component of a JavaScript module, with StarlingMonkey in it: node build.mjs MODULE COMPONENT
import { componentize } from "@bytecodealliance/componentize-js";
import { writeFile } from "node:fs/promises";

const [module, output] = process.argv.slice(2);
// By its API: the command line of jco fails on every path of WIT ("os error 44").
const { component } = await componentize({
  sourcePath: module,
  witPath: "wit",
  worldName: "policy",
  // Nobody answers `fetch` here. What stays imports WASI, which the host answers with nothing but a clock, random bytes
  // and the log: without "clocks" `Date` tells the time of this build, without "random" `Math.random` repeats itself, and
  // without "stdio" the engine traps without a word.
  disableFeatures: ["http", "fetch-event"],
});
await writeFile(output, component);
