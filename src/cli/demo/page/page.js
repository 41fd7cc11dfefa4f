"use strict";
// One class a part of the page: Pane is one WebSocket, Editor the configuration, Live what the proxy says of itself.
// Whatever came from elsewhere is put in as text, never as markup.

const one = (selector, within = document) => within.querySelector(selector);

const CLOSES = {
  1000: "normal closure", 1001: "going away", 1002: "protocol error", 1003: "data of a kind that is not taken",
  1005: "without a code", 1006: "the connection ended without a Close", 1007: "invalid UTF-8", 1008: "against a policy",
  1009: "message too big", 1010: "an extension is missing", 1011: "internal error", 1012: "the service restarts",
  1013: "try again later", 1014: "bad gateway", 4408: "no partner came in time", 4409: "replaced by a newer connection",
};

/** A close code and its reason in words. */
function inWords(code, reason) {
  const words = CLOSES[code] ?? (code >= 4000 ? "a code for private use" : "a registered code");
  return reason ? `${code}, ${words}: “${reason}”` : `${code}, ${words}`;
}

/** Asks the page's service; an answer that is no success is an error with the reason it gives. */
async function ask(method, path, body) {
  const request = { method };
  if (body !== undefined) {
    request.headers = { "content-type": "application/json" };
    request.body = JSON.stringify(body);
  }
  const answer = await fetch(path, request);
  const said = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(said.problem ?? `${path} is answered with ${answer.status}`);
  return said;
}

/** A path and a query as they would be dialled; null where the text is neither. */
function asTarget(text) {
  const path = text.trim();
  if (!path.startsWith("/") || path.startsWith("//")) return null;
  const url = new URL(path, location.origin);
  return url.origin === location.origin ? url.pathname + url.search : null;
}

/** What a target's query says, whatever the parameters are called. */
const channelOf = (target) => [...new URL(target, location.origin).searchParams.values()].join(" ");

/** One WebSocket through the proxy, with all that was said. */
class Pane {
  /** Lines that are kept. */
  static MOST = 200;

  /** `partner` says who is on the other side once it is there, or null. */
  constructor(id, { title, target, greeting, partner, changed }) {
    this.root = one(`#${id}`);
    this.root.append(one("#pane").content.cloneNode(true));
    const part = (selector) => one(selector, this.root);
    this.title = title;
    this.partner = partner;
    this.changed = changed;
    part("h3").textContent = title;
    part("h3").id = `${id}-title`;
    this.root.setAttribute("aria-labelledby", `${id}-title`);
    [this.words, this.detail, this.said] = [part(".words"), part(".detail"), part(".said")];
    [this.target, this.message, this.code, this.reason] = [part(".target"), part(".message"), part(".code"), part(".reason")];
    this.connectButton = part(".connect");
    this.said.setAttribute("aria-label", `${title}: what was said`);
    this.target.value = target;
    this.message.value = greeting;
    this.on(part(".dial"), () => this.dial());
    this.on(part(".say"), () => this.send());
    this.on(part(".end"), () => this.close());
    this.socket = null;
    this.heard = false;
    this.show("idle", "not connected");
  }

  on(form, act) {
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      act();
    });
  }

  get open() {
    return this.socket?.readyState === WebSocket.OPEN;
  }

  show(state, words, detail = "") {
    const spoken = this.open && state !== "closing";
    this.root.dataset.state = state;
    this.words.textContent = words;
    this.detail.textContent = detail;
    this.target.disabled = this.connectButton.disabled = this.socket !== null;
    for (const control of this.root.querySelectorAll(".say *, .end *")) control.disabled = !spoken;
  }

  note(from, text) {
    const line = document.createElement("li");
    line.dataset.from = from;
    line.textContent = text;
    this.said.append(line);
    while (this.said.childElementCount > Pane.MOST) this.said.firstElementChild.remove();
    this.said.scrollTop = this.said.scrollHeight;
  }

  dial() {
    if (this.socket) return;
    const target = asTarget(this.target.value);
    if (target === null) {
      this.show("broken", "not dialled", "A path is needed, such as /chat?channelId=1.");
      return;
    }
    const socket = new WebSocket(`ws://${location.host}${target}`);
    this.socket = socket;
    this.dialled = target;
    this.heard = false;
    this.closedHere = false;
    let opened = false;
    this.show("dialing", "dialling");
    socket.addEventListener("open", () => {
      opened = true;
      this.decidedBy = live.generation;
      this.note("wire", `101: connected, decided by generation ${this.decidedBy ?? "?"}`);
      this.changed();
    });
    socket.addEventListener("message", ({ data }) => {
      this.heard = true;
      this.note("them", typeof data === "string" ? data : `${data.size} bytes of binary data`);
      this.changed();
    });
    socket.addEventListener("close", ({ code, reason }) => {
      this.socket = null;
      if (opened) this.ended(code, reason);
      else this.refused(target);
      this.changed();
    });
  }

  /** Says in the pane's state what is known of the conversation. */
  tell() {
    if (!this.open || this.closedHere) return;
    const partner = this.partner(this);
    const by = this.decidedBy === live.generation || !live.generation
      ? `Decided by generation ${this.decidedBy ?? "?"}, which serves.`
      : `Decided by generation ${this.decidedBy}; ${live.generation} serves now, and this goes on.`;
    if (partner) this.show("joined", `joined with ${partner}`, by);
    else this.show("waiting", "waits for the other side", `${by} What is sent is kept for whoever comes.`);
  }

  ended(code, reason) {
    const by = this.closedHere ? "closed from here" : "closed by the other side";
    const words = inWords(code, reason);
    this.note("wire", `${by}: ${words}`);
    this.show(code === 1006 ? "broken" : "closed", code === 1006 ? "cut" : by, words);
  }

  /** A browser keeps the answer to itself, so the service asks for it once more. */
  async refused(target) {
    this.show("refused", "refused", "Asking why …");
    let why;
    try {
      const { status, cause, body } = await ask("POST", "/page/knock", { target });
      why = status === 101
        ? "The handshake failed; made once more from elsewhere it was accepted."
        : `${status} ${cause ?? ""}: ${body || "without a reason"}`;
    } catch (error) {
      why = `The reason cannot be had: ${error.message}`;
    }
    this.note("wire", `refused: ${why}`);
    if (this.root.dataset.state === "refused") this.show("refused", "refused", why);
  }

  send() {
    if (!this.open || this.message.value === "") return;
    this.socket.send(this.message.value);
    this.note("me", this.message.value);
    this.message.value = "";
    this.message.focus();
  }

  close() {
    if (!this.open) return;
    try {
      this.socket.close(Number(this.code.value), this.reason.value);
    } catch {
      this.detail.textContent = "A page may close with 1000 or 3000 to 4999, and a reason of at most 123 bytes.";
      return;
    }
    this.closedHere = true;
    this.show("closing", "closing");
    this.changed();
  }
}

/** The client's pane, the backend's, and the cord between them. */
class Rendezvous {
  constructor() {
    const channel = 100 + Math.floor(Math.random() * 900);
    const changed = () => this.tell();
    const partner = (pane) => this.partner(pane);
    this.client = new Pane("client", {
      title: "Client", target: `/chat?channelId=${channel}`, greeting: "hello", partner, changed,
    });
    this.backend = new Pane("backend", {
      title: "Backend", target: `/chat/connect?channelId=${channel}`, greeting: "how may I help?", partner, changed,
    });
    this.note = one("#triggered");
    one("#both").addEventListener("click", () => {
      this.client.dial();
      this.backend.dial();
    });
    one("#trigger").addEventListener("click", () => this.trigger());
    this.tell();
  }

  /** The other pane, if it is on the same channel; else somebody who was heard. */
  partner(pane) {
    const other = pane === this.client ? this.backend : this.client;
    if (other.open && channelOf(other.dialled) === channelOf(pane.dialled)) return `the ${other.title.toLowerCase()} here`;
    return pane.heard ? "somebody who dialled in elsewhere" : null;
  }

  tell() {
    const panes = [this.client, this.backend];
    for (const pane of panes) pane.tell();
    const is = (state) => panes.some((pane) => pane.root.dataset.state === state);
    one("#cord").dataset.state = is("joined") ? "joined" : is("waiting") ? "waiting" : "idle";
    one("#both").disabled = panes.every((pane) => pane.socket);
  }

  async trigger() {
    const target = asTarget(this.client.target.value);
    const channel = target === null ? "" : channelOf(target);
    this.note.hidden = false;
    this.note.textContent = "The backend is asked, by a plain request through the proxy …";
    try {
      const answer = await fetch(`/connect?channelId=${encodeURIComponent(channel)}`);
      this.note.textContent = `${answer.status}: ${(await answer.text()).trim()}`;
    } catch (error) {
      this.note.textContent = `The backend could not be asked: ${error.message}`;
    }
  }
}

/** The demo's configuration: edited, saved, judged by the proxy. */
class Editor {
  static CHANGES = {
    room: {
      change: (text) => replaced(text, /^(\s*channelQuery:)[^#\n]*?(\s*(#.*)?)$/m, "$1 [room]$2"),
      hint: "Connect: channelId names no channel now, the answer is 400. With ?room=1 on both sides they are joined.",
    },
    nobody: {
      change: (text) => replaced(text, /^(\s*enabled:)[^#\n]*?(\s*(#.*)?)$/m, "$1 false$2"),
      hint: "Connect: the answer is 403 now, while those who are joined go on talking.",
    },
    typo: { change: (text) => replaced(text, /^(\s*)pairing_timeout:/m, "$1pairing_timeot:"), hint: "" },
    original: { change: (_, original) => original, hint: "" },
  };

  constructor() {
    [this.text, this.lines, this.problems] = [one("#text"), one("#lines"), one("#problems")];
    [this.verdict, this.words, this.hint] = [one("#verdict"), one("#verdict-words"), one("#verdict-hint")];
    [this.saveButton, this.loadButton] = [one("#save"), one("#load")];
    /** What the file said when it was last seen, and the version of that. */
    this.saved = null;
    this.version = null;
    this.original = "";
    /** How often the proxy had looked at the file before the save that it has not judged yet. */
    this.awaited = null;
    /** The version on disk that was pointed out beside unsaved changes. */
    this.noticed = null;
    this.busy = false;
    this.wrong = new Set();
    one("#editor").addEventListener("submit", (event) => {
      event.preventDefault();
      this.save();
    });
    this.loadButton.addEventListener("click", () => this.load("What is on disk was loaded."));
    this.text.addEventListener("input", () => this.edited());
    this.text.addEventListener("scroll", () => { this.lines.scrollTop = this.text.scrollTop; });
    document.addEventListener("keydown", (event) => {
      if ((event.ctrlKey || event.metaKey) && !event.altKey && event.key.toLowerCase() === "s") {
        event.preventDefault();
        this.save();
      }
    });
    for (const button of document.querySelectorAll("[data-change]")) {
      button.addEventListener("click", () => this.prepared(Editor.CHANGES[button.dataset.change]));
    }
  }

  get dirty() {
    return this.saved !== null && this.text.value !== this.saved;
  }

  say(state, words, hint = "") {
    this.verdict.dataset.state = state;
    this.words.textContent = words;
    this.hint.textContent = hint;
    this.hint.hidden = hint === "";
  }

  edited() {
    const count = this.text.value.split("\n").length;
    while (this.lines.childElementCount > count) this.lines.lastElementChild.remove();
    while (this.lines.childElementCount < count) {
      const line = document.createElement("span");
      line.textContent = this.lines.childElementCount + 1;
      this.lines.append(line);
    }
    [...this.lines.children].forEach((line, at) => line.classList.toggle("wrong", this.wrong.has(at + 1)));
    this.lines.scrollTop = this.text.scrollTop;
    one("#dirty").hidden = !this.dirty;
  }

  async load(words) {
    this.busy = true;
    try {
      const { path, text, version, original } = await ask("GET", "/page/config");
      [this.saved, this.version, this.original] = [text, version, original];
      this.text.value = text;
      one("#path").textContent = path;
      one("#sed").textContent = `sed -i 's/channelQuery: .*/channelQuery: [room]/' ${path}`;
      this.text.disabled = this.saveButton.disabled = false;
      this.loadButton.hidden = true;
      this.say("idle", words);
      this.edited();
    } catch (error) {
      this.say("bad", `The configuration cannot be loaded: ${error.message}`);
    } finally {
      this.busy = false;
    }
  }

  async prepared({ change, hint }) {
    if (this.saved === null || this.busy) return;
    const text = change(this.text.value, this.original);
    if (text === null) {
      this.say("bad", "The line that this would change is not there any more. Go back to the original first.");
      return;
    }
    const at = firstDifference(this.text.value, text);
    this.text.value = text;
    this.edited();
    if (at !== null) this.reveal(at);
    await this.save(hint);
  }

  async save(hint = "") {
    if (this.saved === null || this.busy) return;
    this.busy = true;
    this.say("busy", "Saving …");
    const text = this.text.value;
    try {
      const { version, looks } = await ask("PUT", "/page/config", { text, version: this.version });
      [this.saved, this.version, this.awaited, this.after] = [text, version, looks, hint];
      this.loadButton.hidden = true;
      this.say("busy", "Saved. The proxy reads it …");
    } catch (error) {
      this.say("bad", `Not saved: ${error.message}`);
    } finally {
      this.busy = false;
      this.edited();
      if (live.state) this.judge(live.state);
    }
  }

  /** What the proxy says of the file, after each of its looks. */
  judge({ generation, problems, looks, file, pinned }) {
    this.complain(problems ?? []);
    if (this.awaited !== null && looks > this.awaited && !this.busy) {
      this.awaited = null;
      if (problems) this.say("bad", `Refused. Generation ${generation} serves on, as if nothing had happened.`);
      else if (pinned) this.say("busy", `Saved. Generation ${generation} is pinned by a rollback; “cordboard resume” takes it up.`);
      else this.say("good", `Generation ${generation} serves: the next handshake decides by it.`, this.after);
    }
    if (this.busy || this.version === null || !file || file === this.version) return;
    if (!this.dirty) {
      this.version = file;
      this.load(`Changed on disk, and loaded. Generation ${generation} serves.`);
    } else if (file !== this.noticed) {
      this.noticed = file;
      this.loadButton.hidden = false;
      this.say("busy", "The file has been changed on disk; what stands here is not saved.");
    }
  }

  complain(problems) {
    const key = JSON.stringify(problems);
    if (key === this.complaint) return;
    this.complaint = key;
    this.wrong.clear();
    this.problems.replaceChildren(...problems.map((problem) => this.problem(problem)));
    this.problems.hidden = problems.length === 0;
    this.edited();
  }

  problem(text) {
    const [box, pre] = [document.createElement("div"), document.createElement("pre")];
    pre.tabIndex = 0;
    pre.textContent = text.replace(/^\S*\/(?=demo\.yaml:)/, "");
    box.append(pre);
    const place = /^[^\n]*?demo\.yaml:(\d+):(\d+): /.exec(text);
    // A caret must stand below its column; what has none may be broken into lines.
    pre.classList.toggle("words", !place);
    if (place) {
      const [line, column] = [Number(place[1]), Number(place[2])];
      this.wrong.add(line);
      const go = document.createElement("button");
      go.type = "button";
      go.textContent = `Go to line ${line}`;
      go.addEventListener("click", () => this.reveal(startOf(this.text.value, line) + column - 1));
      box.append(go);
    }
    return box;
  }

  /** Selects the rest of the line from a place on, and brings it into view. */
  reveal(at) {
    const text = this.text.value;
    const end = text.indexOf("\n", at);
    const line = text.slice(0, at).split("\n").length;
    const height = this.text.scrollHeight / text.split("\n").length;
    this.text.focus({ preventScroll: true });
    this.text.setSelectionRange(at, end < 0 ? text.length : end);
    this.text.scrollTop = Math.max(0, (line - 6) * height);
    this.text.scrollLeft = 0;
  }
}

/** The text with the first match replaced; null where there is none. */
function replaced(text, pattern, by) {
  return pattern.test(text) ? text.replace(pattern, by) : null;
}

function firstDifference(one, other) {
  if (one === other) return null;
  let at = 0;
  while (one[at] === other[at]) at += 1;
  return other.lastIndexOf("\n", at - 1) + 1;
}

/** Where a line begins. */
function startOf(text, line) {
  return text.split("\n").slice(0, line - 1).reduce((at, before) => at + before.length + 1, 0);
}

/** What the proxy says of itself, as it changes. */
class Live {
  /** How long to wait before asking again, in milliseconds. */
  static AGAIN = 2000;

  constructor() {
    this.state = null;
    this.trouble = one("#trouble");
  }

  get generation() {
    return this.state?.generation;
  }

  listen() {
    const events = new EventSource("/page/events");
    events.addEventListener("message", ({ data }) => {
      const state = JSON.parse(data);
      this.complain(state.trouble);
      if (!state.trouble) this.show(state);
    });
    events.addEventListener("error", () => {
      const path = one("#path").textContent;
      this.complain("The proxy does not answer this page any more. Has the demo ended? Or, if a change took the route "
        + `“page” away, put it back in ${path} on disk.`);
      // A refusal ends it for good, a broken connection does not.
      if (events.readyState === EventSource.CLOSED) setTimeout(() => this.listen(), Live.AGAIN);
    });
  }

  complain(trouble = "") {
    this.trouble.textContent = trouble;
    this.trouble.hidden = trouble === "";
  }

  show(state) {
    this.state = state;
    for (const name of ["sessions", "pairs", "accepted", "refused", "generation"]) {
      one(`#count-${name}`).textContent = state[name];
    }
    rendezvous.tell();
    router.tell();
    editor.judge(state);
  }
}

const live = new Live();
const rendezvous = new Rendezvous();
const router = new Pane("router", {
  title: "Caller", target: "/ws/echo", greeting: "is there an echo?", partner: () => "the echo service", changed: () => router.tell(),
});
const editor = new Editor();
editor.load("This is what serves. Change it, or take one of the changes above.").then(() => live.listen());
