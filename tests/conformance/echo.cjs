// The known-good echo, on Node's library `ws`. It serves on a free port, and dials whom it is told to.
//
// Prints `serving PORT`. Reads lines: `dial N URL`, `cut N`. Prints for connections that it dialled: `open N`, and
// `closed N` when they are gone, with or without having been open. Ends with its input.

const { createInterface } = require("node:readline");
const { WebSocket, WebSocketServer } = require("ws");

// No limits of the library's own: group 9 has messages of 16 MiB and of 64 Ki fragments.
const limits = { maxPayload: 0, maxFragments: 0, maxBufferedChunks: 0 };

// Where compression was agreed on every message is compressed, as the cases count on it.
const accepted = { threshold: 0 };
// Some cases of group 13 decline to compress with a client that does not offer this.
const offered = { threshold: 0, clientNoContextTakeover: true };

function answer(ws) {
  ws.on("message", (data, binary) => ws.send(data, { binary }));
  ws.on("error", () => {}); // a violation by the fuzzer; the library has closed by then
}

const server = new WebSocketServer({ ...limits, perMessageDeflate: accepted, host: "127.0.0.1", port: 0 });
server.on("connection", answer);
server.on("listening", () => console.log("serving", server.address().port));

const dialled = new Map();

function dial(n, url) {
  const ws = new WebSocket(url, { ...limits, perMessageDeflate: offered });
  dialled.set(n, ws);
  answer(ws);
  ws.on("open", () => console.log("open", n));
  ws.on("close", () => {
    dialled.delete(n);
    console.log("closed", n);
  });
}

createInterface({ input: process.stdin })
  .on("line", (line) => {
    const [command, n, url] = line.split(" ");
    if (command === "dial") dial(n, url);
    else dialled.get(n)?.terminate();
  })
  .on("close", () => process.exit());
