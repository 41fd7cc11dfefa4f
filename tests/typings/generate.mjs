// Writes the declarations of the contract that projects in JavaScript and TypeScript are given:
//
//     node tests/typings/generate.mjs            writes both copies of cordboard.d.ts
//     node tests/typings/generate.mjs --check    says whether they are what it would write; exit code 1 if not
//
// It knows the WIT of this contract, not all of WIT, and stops at what it does not know. Generators that know all of it
// do not say what a function throws, know one engine each, and want every exported interface in a module of its own.
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../../", import.meta.url));
const copies = ["javascript", "typescript"].map((of) => `${root}plugins/templates/${of}/common/types/cordboard.d.ts`);

// What the host has of `cordboard:plugin`; the rest of it is exported by plugins.
const imported = ["types", "request", "connection", "message", "interest"];
// Records with a number of 64 bits, which has another type when it is received: they have a parameter for it.
const wide = ["identity", "identity-info", "event"];
// What is no name of a function in TypeScript.
const reserved = ["delete"];

const camel = (name) => name.replace(/-(.)/g, (_, letter) => letter.toUpperCase());
const pascal = (name) => camel(`-${name}`);

/** A package of WIT: `{ name, version, interfaces: [{ docs, name, items }] }`. */
function parse(text) {
  const tokens = text.match(/\/\/\/.*|(?<!\/)\/\/(?!\/).*|->|[a-z0-9.-]*[a-z0-9]|[^\s]/g).filter((t) => !/^\/\/(?!\/)/.test(t));
  let at = 0;
  const peek = () => tokens[at];
  const take = (expected) => {
    const token = tokens[at++];
    if (expected !== undefined && token !== expected) throw new Error(`${expected} and not ${token}: ${tokens.slice(at - 9, at + 9).join(" ")}`);
    return token;
  };
  const skip = (token) => peek() === token && take() === token;
  const docs = () => {
    const lines = [];
    while (peek()?.startsWith("///")) lines.push(take().slice(4));
    return lines;
  };
  /** `item, item, …` up to `end`. */
  const list = (end, item) => {
    const found = [];
    while (!skip(end)) {
      found.push(item());
      if (!skip(",")) {
        take(end);
        break;
      }
    }
    return found;
  };
  const type = () => {
    const name = take();
    return { name, of: skip("<") ? list(">", type) : [] };
  };
  const field = () => ({ docs: docs(), name: take(), type: (take(":"), type()) });
  const item = () => {
    const before = docs();
    const word = take();
    if (skip(":")) {
      take("func") && take("(");
      const params = list(")", field);
      const result = skip("->") ? type() : { name: "_", of: [] };
      take(";");
      return { docs: before, kind: "func", name: word, params, result };
    }
    const name = take();
    switch (word) {
      case "use": {
        take(".") && take("{");
        const used = list("}", () => {
          const theirs = take();
          return { theirs, ours: skip("as") ? take() : theirs };
        });
        take(";");
        return { kind: word, name, used };
      }
      case "type": {
        take("=");
        const aliased = type();
        take(";");
        return { docs: before, kind: word, name, type: aliased };
      }
      case "record":
        take("{");
        return { docs: before, kind: word, name, fields: list("}", field) };
      case "enum":
      case "variant": {
        take("{");
        const one = () => ({ docs: docs(), name: take(), type: skip("(") ? list(")", type)[0] : undefined });
        return { docs: before, kind: word, name, cases: list("}", one) };
      }
      default:
        throw new Error(`${word} ${name}: nobody thought of it`);
    }
  };
  take("package");
  const [name, version] = [[take(), take(), take()].join(""), (take("@"), take())];
  take(";");
  const interfaces = [];
  while (peek() !== undefined) {
    const before = docs();
    if (take() === "interface") {
      const found = { docs: before, name: take(), items: [] };
      take("{");
      while (!skip("}")) found.items.push(item());
      interfaces.push(found);
    } else {
      while (take() !== "}"); // a world
    }
  }
  return { name, version, interfaces };
}

/** A type as it is given to the host, or as it is received from it. */
function typescript({ name, of }, received) {
  const inner = of.map((one) => typescript(one, received));
  if (name === "option") return `${inner[0]} | null | undefined`;
  if (name === "tuple") return `[${inner.join(", ")}]`;
  if (name === "list") return of[0].name === "u8" ? "Uint8Array" : `${inner[0]}[]`;
  if (of.length > 0) throw new Error(`${name}<…>: nobody thought of it`);
  if (name === "_") return "void";
  if (name === "bool") return "boolean";
  if (name === "string") return name;
  if (/^([us](8|16|32)|f64)$/.test(name)) return "number";
  if (/^[us]64$/.test(name)) return received ? "number | bigint" : "number";
  return pascal(name) + (received && wide.includes(name) ? "<number | bigint>" : "");
}

function comment(lines, indent) {
  if (lines.length < 2) return lines.map((line) => `${indent}/** ${line} */\n`).join("");
  return [`${indent}/**`, ...lines.map((line) => `${indent} * ${line}`), `${indent} */\n`].join("\n");
}

/** Alternatives, on one line where none has a comment. */
function union(cases) {
  if (cases.every(({ docs }) => docs.length === 0)) return ` ${cases.map(({ text }) => text).join(" | ")}`;
  return cases.map(({ docs, text }) => `\n${comment(docs, "    ")}    | ${text}`).join("");
}

function declare(contract, { docs, name, items }) {
  const isImported = contract.name !== "cordboard:plugin" || imported.includes(name);
  const exports = [];
  const declared = items.map((item) => {
    const before = comment(item.docs ?? [], "  ");
    const parameter = wide.includes(item.name) ? "<Wide = number>" : "";
    switch (item.kind) {
      case "use":
        return item.used.map(({ theirs, ours }) => {
          const [of, is] = wide.includes(theirs) ? ["<Wide = number>", "<Wide>"] : ["", ""];
          const module = `${contract.name}/${item.name}@${contract.version}`;
          return `  export type ${pascal(ours)}${of} = import("${module}").${pascal(theirs)}${is};\n`;
        }).join("");
      case "type":
        return `${before}  export type ${pascal(item.name)} = ${typescript(item.type, false)};\n`;
      case "enum": {
        const cases = item.cases.map((one) => ({ docs: one.docs, text: `"${one.name}"` }));
        return `${before}  export type ${pascal(item.name)} =${union(cases)};\n`;
      }
      case "variant": {
        const cases = item.cases.map((one) => {
          const value = one.type === undefined ? "" : `; val: ${typescript(one.type, false)}`;
          return { docs: one.docs, text: `{ tag: "${one.name}"${value} }` };
        });
        return `${before}  export type ${pascal(item.name)} =${union(cases)};\n`;
      }
      case "record": {
        const fields = item.fields.map((one) => {
          const [mark, none, type] = one.type.name === "option" ? ["?", " | null", one.type.of[0]] : ["", "", one.type];
          const is64 = /^[us]64$/.test(type.name);
          if (is64 && parameter === "") throw new Error(`${item.name} has 64 bits: it belongs to \`wide\``);
          const text = is64 ? "Wide" : typescript(type, false);
          return `${comment(one.docs, "    ")}    ${camel(one.name)}${mark}: ${text}${none};\n`;
        });
        return `${before}  export interface ${pascal(item.name)}${parameter} {\n${fields.join("")}  }\n`;
      }
      case "func": {
        const [result, error] = item.result.name === "result" ? item.result.of : [item.result];
        const params = item.params.map((one) => `${camel(one.name)}: ${typescript(one.type, !isImported)}`);
        const signature = `(${params.join(", ")}): ${typescript(result, isImported)};\n`;
        const lines = [...item.docs];
        if (error !== undefined) {
          const thrown = typescript(error, isImported);
          lines.push(isImported ? `@throws {{ payload: ${thrown} }}` : `@throws {${thrown}}`);
        }
        const js = camel(item.name);
        if (!isImported) exports.push(`${comment(lines, "    ")}    ${js}${signature}`);
        else if (!reserved.includes(js)) return `${comment(lines, "  ")}  export function ${js}${signature}`;
        else return `${comment(lines, "  ")}  function ${js}_${signature}  export { ${js}_ as ${js} };\n`;
        return "";
      }
    }
  });
  if (!isImported) {
    docs = [...docs, `Written as \`export const ${camel(name)}\`.`];
    declared.push(`${comment(docs, "  ")}  export interface ${pascal(name)} {\n${exports.join("")}  }\n`);
  }
  const before = isImported ? comment(docs, "") : "";
  return `${before}declare module "${contract.name}/${name}@${contract.version}" {\n${declared.join("")}}\n`;
}

const contracts = ["deps/host/host.wit", "plugin.wit"].map((file) => parse(readFileSync(`${root}wit/v0.1/${file}`, "utf8")));
const modules = contracts.flatMap((contract) => contract.interfaces.map((one) => declare(contract, one)));
const text = `// The contract of Cordboard's plugins in TypeScript: what a policy may import, and what it may export.
//
// - None is \`undefined\` on StarlingMonkey and \`null\` on QuickJS: compare with \`== null\` or \`??\`. Both take either.
// - A number of 64 bits arrives as \`bigint\` on StarlingMonkey and as \`number\` on QuickJS: \`Number(nowMs())\`. Give a
//   \`number\`, which both take.
// - \`@throws {Rejection}\` means the value itself, \`throw { status: 403, … }\`; an \`Error\` is a trap. What the functions of
//   the host throw is an error that has the value as its \`payload\`.

${modules.join("\n")}`;

if (process.argv.includes("--check")) {
  const stale = copies.filter((copy) => readFileSync(copy, "utf8") !== text);
  for (const copy of stale) console.error(`${copy} is not what the contract says: run node tests/typings/generate.mjs`);
  process.exitCode = stale.length > 0 ? 1 : 0;
} else {
  for (const copy of copies) writeFileSync(copy, text);
}
