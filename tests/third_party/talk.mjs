// The Node peer, on the library `ws`. Roles and output as in talk.py.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createRequire } from "node:module";

// NODE_PATH counts for `require` only.
const { WebSocket, WebSocketServer } = createRequire(import.meta.url)("ws");

const OFFERS = ["cord.v2", "cord.v1"];
const DEFLATE = { threshold: 0 };
const [role, url, protocol, extension = ""] = process.argv.slice(2);

const agreed = (ws) => ({ protocol: ws.protocol, extension: Object.keys(ws._extensions ?? {}).join(",") });
const dial = () => new WebSocket(url, OFFERS, { perMessageDeflate: DEFLATE });

function fragments(ws, parts, binary) {
  parts.forEach((part, n) => ws.send(part, { binary, fin: n === parts.length - 1 }));
}

// Resolves at the end of the connection.
function answer(ws) {
  ws.on("message", (data, binary) => {
    const text = binary ? null : data.toString();
    if (text === "describe") ws.send(JSON.stringify(agreed(ws)));
    else if (text === "fragments") fragments(ws, ["one, ", "zwei: ü, ", "", "three"], false);
    else if (text === "ping") {
      ws.once("pong", (payload) => payload.toString() === "from who answers" && ws.send("ponged"));
      ws.ping("from who answers");
    } else if (text === "close") ws.close(4002, "answerer is done");
    else ws.send(data, { binary });
  });
  return once(ws, "close").then(([code, reason]) => console.log("closed", code, reason.toString()));
}

async function service() {
  const server = new WebSocketServer({
    host: "127.0.0.1",
    port: 0,
    perMessageDeflate: DEFLATE,
    handleProtocols: (offers) => (offers.has("cord.v1") ? "cord.v1" : false),
  });
  server.on("connection", answer);
  await once(server, "listening");
  console.log(`listening 127.0.0.1:${server.address().port}`);
}

async function backend() {
  for (let n = 0; n < 2; n += 1) await answer(dial());
}

// Messages in order, however late somebody asks for them.
function inbox(ws) {
  const heard = [];
  let wake = () => {};
  ws.on("message", (data, binary) => {
    heard.push(binary ? data : data.toString());
    wake();
  });
  return async () => {
    while (heard.length === 0) {
      await new Promise((resolve, reject) => {
        wake = resolve;
        setTimeout(() => reject(new Error("no message came")), 20_000).unref();
      });
    }
    return heard.shift();
  };
}

async function talk(ws, next) {
  const expected = { protocol, extension };
  assert.deepEqual(agreed(ws), expected);
  ws.send("describe");
  assert.deepEqual(JSON.parse(await next()), expected, "the other end");
  const noise = Buffer.from(Uint32Array.from({ length: 50_000 }, (_, n) => Math.imul(n, 2654435761)).buffer);
  const all = ["", "plain", "grüße 𝄞", "x".repeat(70_000), Buffer.alloc(0), Buffer.alloc(100_000), noise];
  for (const message of all) {
    ws.send(message);
    const echoed = await next();
    assert.equal(typeof echoed, typeof message);
    assert.ok(typeof message === "string" ? echoed === message : message.equals(echoed));
  }
  fragments(ws, ["in ", "", "fünf ", "kleinen ", "pieces"], false);
  assert.equal(await next(), "in fünf kleinen pieces");
  fragments(ws, [Buffer.from("binary "), Buffer.from([255, 0]), Buffer.from(" too")], true);
  assert.deepEqual(await next(), Buffer.from([...Buffer.from("binary "), 255, 0, ...Buffer.from(" too")]));
  ws.send("fragments");
  assert.equal(await next(), "one, zwei: ü, three");
  ws.ping("from the caller");
  const [payload] = await once(ws, "pong");
  assert.equal(payload.toString(), "from the caller");
  ws.send("ping");
  assert.equal(await next(), "ponged");
}

async function caller() {
  for (const ours of [true, false]) {
    const ws = dial();
    const next = inbox(ws);
    await once(ws, "open");
    await talk(ws, next);
    const closed = once(ws, "close");
    if (ours) ws.close(4001, "caller is done");
    else ws.send("close");
    const [code, reason] = await closed;
    if (!ours) assert.deepEqual([code, reason.toString()], [4002, "answerer is done"]);
  }
  console.log("talked");
}

await { service, backend, caller }[role]();
