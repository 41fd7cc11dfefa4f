// The configuration: edited here, saved by the page's service, judged by the proxy.

import { ask, one, proxy } from "./shared.js";

/** The demo's configuration: edited, saved, judged by the proxy. */
export class Editor {
  static CHANGES = {
    room: {
      change: (text) => replaced(text, /^( *channelQuery:)[^#\n]*?( *(#.*)?)$/m, "$1 [room]$2"),
      hint: "Connect: channelId names no channel now, the answer is 400. With ?room=1 on both sides they are joined.",
    },
    nobody: {
      change: (text) => replaced(text, /^( *enabled:)[^#\n]*?( *(#.*)?)$/m, "$1 false$2"),
      hint: "Connect: client and backend are answered with 403 now, while those who are joined go on talking.",
    },
    typo: { change: (text) => replaced(text, /^( *)pairing_timeout:/m, "$1pairing_timeot:"), hint: "" },
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
      if (proxy.state) this.judge(proxy.state);
    }
  }

  /** What the proxy says of the file, after each of its looks. */
  judge({ generation, problems, looks, file, pinned }) {
    this.complain(problems ?? []);
    if (this.awaited !== null && looks > this.awaited && !this.busy) {
      this.awaited = null;
      if (problems) this.say("bad", `Refused. Generation ${generation} serves on, as if nothing had happened.`);
      else if (pinned) this.say("busy", `Saved, but a rollback pins generation ${generation}; “cordboard resume” ends that.`);
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

/** The text with what was found replaced; null where there is nothing of the kind. */
function replaced(text, pattern, by) {
  return text.search(pattern) < 0 ? null : text.replace(pattern, by);
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
