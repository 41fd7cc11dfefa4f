// Makes a component of a JavaScript module, with StarlingMonkey in it: node build.mjs MODULE COMPONENT
import { componentize } from "@bytecodealliance/componentize-js";
import { mkdir, writeFile } from "node:fs/promises";
import { relative } from "node:path";

const [module, output] = process.argv.slice(2);
const entry = "build/entry.js";

// The engine takes every exception for an error of the contract, and traps with "expected a string, received [undefined]"
// where it is none. So what went wrong is said before that.
const policy = JSON.stringify(relative("build", module));
await mkdir("build", { recursive: true });
await writeFile(
  entry,
  `import * as policy from ${policy};
export * from ${policy};
for (const exported of Object.values(policy)) {
  for (const [name, method] of Object.entries(exported)) {
    exported[name] = (...given) => {
      try {
        return method.apply(exported, given);
      } catch (error) {
        if (error?.stack) console.error(String(error) + "\\n" + error.stack);
        throw error;
      }
    };
  }
}
`,
);

// By its API: the command line of jco fails on every path of WIT ("os error 44").
const { component } = await componentize({
  sourcePath: entry,
  witPath: "wit",
  worldName: "policy",
  // Nobody answers `fetch` here. What stays imports WASI, which the host answers with nothing but a clock, random bytes
  // and the log: without "clocks" `Date` tells the time of this build, without "random" `Math.random` repeats itself, and
  // without "stdio" the engine traps without a word.
  disableFeatures: ["http", "fetch-event"],
});
await writeFile(output, component);
