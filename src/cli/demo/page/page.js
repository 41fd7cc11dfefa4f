// The parts of the page, and what the proxy says of itself as it changes.

import { Editor } from "./editor.js";
import { one, proxy } from "./shared.js";
import { Pane, Rendezvous } from "./talk.js";

/** What the proxy says of itself, as it changes. */
class Live {
  /** How long to wait before asking again, in milliseconds. */
  static AGAIN = 2000;

  constructor() {
    this.trouble = one("#trouble");
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
    proxy.state = state;
    for (const name of ["sessions", "pairs", "accepted", "refused", "generation"]) {
      one(`#count-${name}`).textContent = state[name];
    }
    rendezvous.tell();
    router.tell();
    editor.judge(state);
  }
}

const rendezvous = new Rendezvous();
const router = new Pane("router", {
  title: "Caller",
  target: "/ws/echo",
  greeting: "is there an echo?",
  partner: () => "the echo service",
  changed: () => router.tell(),
});
const editor = new Editor();
editor.load("This is what serves. Change it, or take one of the changes above.").then(() => new Live().listen());
