// The conversations: a Pane is one WebSocket through the proxy, the Rendezvous a pair of them.

import { ask, one, proxy } from "./shared.js";

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
export class Pane {
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
    [this.target, this.message] = [part(".target"), part(".message")];
    [this.code, this.reason] = [part(".code"), part(".reason")];
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
      this.decidedBy = proxy.state?.generation;
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
    const by = this.decidedBy === proxy.state?.generation || !proxy.state?.generation
      ? `Decided by generation ${this.decidedBy ?? "?"}, which serves.`
      : `Decided by generation ${this.decidedBy}; ${proxy.state?.generation} serves now, and this goes on.`;
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
export class Rendezvous {
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
    const same = other.open && channelOf(other.dialled) === channelOf(pane.dialled);
    if (same) return `the ${other.title.toLowerCase()} here`;
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
