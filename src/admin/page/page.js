// Draws /api/v1/status once a second. Every text comes from there and is set as text, never as markup; what the
// program says of itself stands in `summary`, and only that it does not answer is said here.
"use strict";
(() => {
  const PERIOD = 1000, HIDDEN = 5000, PATIENCE = 4000;
  // What a chart spans, in seconds: a young program fills the smaller ones first.
  const SPANS = [[60, "1 min ago", "30 s"], [120, "2 min ago", "1 min"], [300, "5 min ago", "2.5 min"], [600, "10 min ago", "5 min"]];
  const SVG = "http://www.w3.org/2000/svg";
  const SIGNS = { ok: "✓", warning: "!", fault: "✕", gone: "✕", unknown: "…" };
  const COLOURS = { ok: "#1a8a4e", warning: "#c27803", fault: "#c4242f", gone: "#c4242f", unknown: "#6b7484" };
  const byId = (id) => document.getElementById(id);
  const one = (selector) => document.querySelector(selector);
  const plain = new Intl.NumberFormat("en-GB");
  let last = null, answered = 0, spoken = "";

  // ---- words -------------------------------------------------------------
  const whole = (number) => number == null ? "unknown" : plain.format(number);
  const rate = (number) => number > 0 && number < 10 ? number.toFixed(1) : whole(Math.round(number));
  const short = (number) => number >= 1e6 ? `${+(number / 1e6).toFixed(1)} M` : number >= 1e4 ? `${+(number / 1e3).toFixed(1)} k` : String(+number.toPrecision(3));
  const span = (seconds) => {
    const s = Math.max(0, seconds);
    if (s < 10) return `${s.toFixed(1)} s`;
    if (s < 120) return `${Math.floor(s)} s`;
    if (s < 7200) return `${Math.floor(s / 60)} min`;
    if (s < 172800) return `${Math.floor(s / 3600)} h`;
    return `${Math.floor(s / 86400)} d`;
  };
  const since = (time, now) => {
    const seconds = (Date.parse(now) - Date.parse(time)) / 1000;
    return seconds < 0 ? `in ${span(-seconds)}` : `${span(seconds)} ago`;
  };
  const day = (time) => time ? time.slice(0, 16).replace("T", " ") : "open";
  const clock = (millis) => new Date(millis).toISOString().slice(11, 19);

  // ---- elements: reused, so that a page that is open for weeks does not grow
  const text = (element, words) => { if (element.textContent !== words) element.textContent = words; };
  const classes = (element, words) => { if (element.getAttribute("class") !== words) element.setAttribute("class", words); };
  const attribute = (element, name, value) => { if (element.getAttribute(name) !== value) element.setAttribute(name, value); };
  const fill = (parent, items, make, update) => {
    while (parent.children.length > items.length) parent.lastElementChild.remove();
    while (parent.children.length < items.length) parent.append(make());
    items.forEach((item, at) => update(parent.children[at], item));
  };
  const make = (name, ...children) => {
    const element = document.createElement(name);
    element.append(...children);
    return element;
  };
  const drawn = (name, attributes) => {
    const element = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    return element;
  };
  const cells = (kinds) => () => make("tr", ...kinds.map((kind) => {
    const cell = make("td");
    if (kind === "share") cell.append(make("span"));
    if (kind === "share") cell.firstChild.className = "share";
    if (kind === "chip") cell.append(make("span"));
    if (kind === "number") cell.className = "number";
    return cell;
  }));
  const row = (tr, values) => values.forEach((value, at) => {
    const cell = tr.children[at];
    if (value && value.share !== undefined) cell.firstChild.style.width = `${value.share}%`;
    else if (value && value.chip) { text(cell.firstChild, value.chip); classes(cell.firstChild, `chip ${value.chip}`); }
    else text(cell, value);
  });

  // ---- charts ------------------------------------------------------------
  const charts = {};
  const chart = (id, series, words) => {
    const box = one(`#${id} .chart`);
    const svg = drawn("svg", { preserveAspectRatio: "none", "aria-hidden": "true" });
    for (const y of [0, 50, 100]) svg.append(drawn("line", { x1: 0, x2: "100%", y1: y, y2: y }));
    const paths = series.map(({ colour }) => {
      const pair = [drawn("path", { class: `area ${colour}` }), drawn("path", { class: colour })];
      svg.append(...pair);
      return pair;
    });
    const cursor = drawn("line", { class: "cursor", y1: 0, y2: 100, visibility: "hidden" });
    svg.append(cursor);
    const top = make("span"), read = make("span"), times = make("div", make("span"), make("span"), make("span", "now"));
    top.className = "top"; read.className = "read"; times.className = "times";
    box.setAttribute("role", "img");
    box.append(svg, top, read, times);
    const self = charts[id] = { box, svg, series, words, paths, cursor, top, read, times, at: null, points: SPANS[0][0] };
    const point = (at) => { self.at = at; mark(self); };
    box.addEventListener("pointermove", (event) => {
      const { left, width } = svg.getBoundingClientRect();
      point(Math.max(0, Math.min(self.points - 1, Math.floor((event.clientX - left) / width * self.points))));
    });
    box.addEventListener("pointerleave", () => point(null));
    box.addEventListener("blur", () => point(null));
    box.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1, PageUp: -30, PageDown: 30, Home: -600, End: 600 }[event.key];
      if (step === undefined) return;
      event.preventDefault();
      point(Math.max(0, Math.min(self.points - 1, (self.at ?? self.points) + step)));
    });
  };
  const nice = (value) => {
    const power = 10 ** Math.floor(Math.log10(value || 1));
    return [1, 2, 5, 10].find((step) => step * power >= value) * power;
  };
  // A young program's points stand at the right: now is always there.
  const line = (values, most, points) => {
    let path = "", pen = "M";
    values.forEach((value, at) => {
      if (value == null) { pen = "M"; return; }
      const x = points - values.length + at + .5, y = 100 - value / most * 100;
      // A point between two gaps would be nothing: it gets a width.
      path += `${pen}${x} ${y.toFixed(1)}${pen === "M" ? "h.4" : ""}`;
      pen = "L";
    });
    return path;
  };
  const area = (values, most, points) => {
    const left = points - values.length + .5;
    const filled = values.map((value) => value ?? 0);
    return values.length ? `${line(filled, most, points)}L${left + values.length - 1} 100L${left} 100Z` : "";
  };
  const draw = (id, history, least) => {
    const self = charts[id];
    const lists = self.series.map(({ member }) => history[member]);
    let most = 0;
    for (const list of lists) for (const value of list) if (value > most) most = value;
    const ceiling = nice(Math.max(most, least));
    const [points, ago, half] = SPANS.find(([seconds]) => seconds >= history.in.length) ?? SPANS.at(-1);
    self.points = points;
    attribute(self.svg, "viewBox", `0 0 ${points} 100`);
    text(self.times.children[0], ago);
    text(self.times.children[1], half);
    lists.forEach((list, at) => {
      const [under, over] = self.paths[at];
      attribute(under, "d", at === 0 ? area(list, ceiling, points) : "");
      attribute(over, "d", line(list, ceiling, points));
    });
    text(self.top, self.words(ceiling));
    self.history = history;
    mark(self);
    const now = self.series.map(({ name, member }) => `${name} ${said(self, history[member].at(-1))}`).join(", ");
    attribute(self.box, "aria-label", `Since ${ago}, at most ${self.words(most)}; now ${now}. Arrow keys read single seconds.`);
  };
  const said = (self, value) => value == null ? "none" : self.words(value);
  const mark = (self) => {
    const history = self.history, length = history ? history.in.length : 0;
    const at = self.at == null || !length ? null : Math.max(self.at, self.points - length);
    attribute(self.cursor, "visibility", at == null ? "hidden" : "visible");
    if (at == null) { text(self.read, ""); return; }
    attribute(self.cursor, "x1", String(at + .5));
    attribute(self.cursor, "x2", String(at + .5));
    const index = at - (self.points - length);
    const values = self.series.map(({ name, member }) => `${name} ${said(self, history[member][index])}`).join(" · ");
    text(self.read, `${clock(Date.parse(history.from) + index * 1000)} · ${values}`);
  };
  const figures = (id, items) => fill(one(`#${id} .figures`), items, () => make("span", make("b"), " ", make("span")), (element, [colour, value, name]) => {
    classes(element, colour);
    text(element.children[0], value);
    text(element.children[1], name);
  });

  // ---- parts -------------------------------------------------------------
  const banner = (level, state, sentence, also) => {
    attribute(document.body, "data-level", level);
    text(byId("sign"), SIGNS[level]);
    text(byId("sentence"), sentence);
    fill(byId("also"), also, () => make("li"), text);
    byId("also").hidden = also.length === 0;
    // Figures change every second: only a change of state is worth a word to who listens.
    if (spoken !== `${level} ${state}`) {
      spoken = `${level} ${state}`;
      text(byId("spoken"), sentence);
      byId("icon").href = `data:image/svg+xml,${encodeURIComponent(`<svg xmlns="${SVG}" viewBox="0 0 16 16"><circle cx="8" cy="8" r="7" fill="${COLOURS[level]}"/></svg>`)}`;
    }
    const title = `${level === "gone" ? "No answer" : sentence.split(":")[0]} · ${last ? `${last.domain} · ` : ""}cdrveil`;
    if (document.title !== title) document.title = title;
  };

  const checks = (status) => fill(one("#checks ul"), status.checks, () => make("li", make("b"), make("div", make("span"), " ", make("em"))), (item, check) => {
    classes(item, check.ok ? "" : "failed");
    text(item.firstChild, check.ok ? "✓" : "✕");
    text(item.lastChild.firstChild, check.name);
    text(item.lastChild.lastChild, check.detail || (check.ok ? "" : "failed"));
  });

  const keys = (status) => {
    const { epochs, in_use } = status.keyring, now = Date.parse(status.time);
    const at = epochs.findIndex((epoch) => epoch.id === in_use);
    const near = epochs.slice(Math.max(0, at - 2), at + 4);
    const begins = near.map((epoch) => Date.parse(epoch.activate_at));
    // The first key may be open to years before; what matters lies around now.
    const from = Math.min(begins.length ? begins[0] : now, now - 86400000);
    const left = Math.max(now, begins.at(-1) ?? now) - from;
    const to = from + left * 1.3;
    const place = (time) => Math.max(0, Math.min(100, (time - from) / (to - from) * 100));
    const parts = near.map((epoch, index) => ({ epoch, kind: "i", left: place(begins[index]), right: place(epoch.until ? Date.parse(epoch.until) : to) }));
    const timeline = byId("timeline");
    const wanted = parts.length + 2;
    if (timeline.children.length !== wanted) timeline.replaceChildren(...parts.map(() => make("i")), make("u"), make("span"));
    parts.forEach(({ epoch, left, right }, index) => {
      const element = timeline.children[index];
      classes(element, epoch.state);
      text(element, epoch.id);
      element.style.left = `${left}%`;
      element.style.width = `${Math.max(0, right - left)}%`;
    });
    const [hand, label] = [timeline.children[wanted - 2], timeline.children[wanted - 1]];
    hand.style.left = `${place(now)}%`;
    const next = status.keyring.next;
    text(label, next ? `now ${in_use ?? "no key"}, next ${next.id} ${since(next.activate_at, status.time)}` : `now ${in_use ?? "no key"}, no next key`);
    attribute(timeline, "aria-label", `Windows of the keys: ${label.textContent}`);
    fill(one("#keys tbody"), [...epochs].reverse(), cells(["", "chip", "", "", "", "number"]), (tr, epoch) =>
      row(tr, [epoch.id, { chip: epoch.state }, day(epoch.activate_at), day(epoch.until), epoch.kcv, whole(epoch.records)]));
  };

  const rejections = (status) => {
    const found = status.rejected.filter((reason) => reason.records > 0).sort((a, b) => b.records - a.records);
    const most = found.length ? found[0].records : 1;
    const { in: read, rejected } = status.totals;
    text(one("#rejections .hint"), found.length ? `${whole(rejected)} of ${whole(read)} records (${(rejected / read * 100).toPrecision(2)} %)` : "No record was rejected.");
    one("#rejections .scroll").hidden = !found.length;
    fill(one("#rejections tbody"), found, cells(["", "number", "share", "", ""]), (tr, reason) =>
      row(tr, [reason.reason, whole(reason.records), { share: reason.records / most * 100 },
        reason.last ? `${reason.last.topic}/${reason.last.partition} @ ${reason.last.offset}` : "", reason.last_time ? since(reason.last_time, status.time) : ""]));
    text(one("#rejections .note"), found.length ? "A place is topic/partition @ offset of the raw message. Who holds an identity sees the records with cdrveil open." : "");
  };

  const partitions = (status) => {
    const all = status.lanes.flatMap((lane) => lane.partitions.map((partition) => ({ ...partition, lane: lane.lane })));
    all.sort((a, b) => (b.lag ?? -1) - (a.lag ?? -1) || a.topic.localeCompare(b.topic) || a.partition - b.partition);
    const most = Math.max(1, ...all.map((partition) => partition.lag ?? 0));
    text(one("#partitions .hint"), all.length ? `${whole(all.length)} assigned, longest first` : "No partition is assigned.");
    fill(one("#partitions tbody"), all, cells(["", "number", "share", "number", "number"]), (tr, partition) =>
      row(tr, [`${partition.topic}/${partition.partition}`, whole(partition.lag), { share: (partition.lag ?? 0) / most * 100 }, whole(partition.committed_offset), String(partition.lane)]));
  };

  const lanes = (status) => {
    fill(one("#lanes tbody"), status.lanes, cells(["number", "chip", "", ""]), (tr, lane) =>
      row(tr, [String(lane.lane), { chip: lane.state }, `${span(lane.heartbeat_seconds)} ago`, lane.last_commit ? since(lane.last_commit, status.time) : "none yet"]));
    const { committed, aborted, producer_recreations, rebalances } = status.transactions;
    text(one("#lanes .note"), `Commits: ${whole(committed)}, aborted: ${whole(aborted)}, producers made again: ${whole(producer_recreations)}, changes of assignment: ${whole(rebalances)}.`);
  };

  const reloads = (status) => {
    const { keyring, deck } = status;
    const load = (part) => [part.last_reload_ok ? "" : "failed", part.last_reload_ok ? "accepted" : `refused, the former one is in use: ${part.last_reload_error}`];
    const items = [
      ["Keyring", "", keyring.fingerprint || "none"],
      ["In use since", "", `${day(keyring.loaded)} (${since(keyring.loaded, status.time)})`],
      ["Last keyring", ...load(keyring)],
      ...(deck.lists.length || !deck.last_reload_ok ? [["Deck since", "", `${day(deck.loaded)} (${since(deck.loaded, status.time)})`], ["Last deck", ...load(deck)]] : []),
      ...deck.lists.map((list) => [list.list, "", `${whole(list.rows)} rows, ${list.fingerprint}`]),
    ];
    fill(one("#reloads dl"), items.flatMap(([name, kind, value]) => [["dt", "", name], ["dd", kind, value]]), () => make(one("#reloads dl").children.length % 2 ? "dd" : "dt"), (element, [, kind, value]) => {
      classes(element, kind);
      text(element, value);
    });
  };

  const show = (status) => {
    last = status;
    const { history, rate: rates } = status;
    banner(status.summary.level, status.summary.state, status.summary.text, status.summary.also);
    text(byId("domain"), status.domain);
    text(byId("meta"), `up ${span(status.uptime_seconds)}, as of ${status.time.slice(11, 19)}`);
    text(byId("about"), `cdrveil ${status.version}, ${status.guarantee}, started ${day(status.started)}.`);
    figures("flow", [["one", rate(rates.in_per_second), "in"], ["two", rate(rates.public_per_second), "public"]]);
    figures("refused", [["three", rate(rates.rejected_per_second), "rejected"]]);
    const fresh = history.freshness.at(-1), lag = history.lag.at(-1);
    figures("behind", [["one", fresh == null ? "–" : span(fresh), fresh != null ? "from record to commit" : lag === 0 ? "nothing waits" : "not known yet"]]);
    figures("waiting", [["one", lag == null ? "–" : whole(lag), lag == null ? "not known yet" : "in all partitions"]]);
    draw("flow", history, 10);
    draw("behind", history, 1);
    draw("refused", history, 1);
    draw("waiting", history, 10);
    checks(status); keys(status); rejections(status); partitions(status); lanes(status); reloads(status);
  };

  const gone = () => {
    if (!last) {
      banner("gone", "gone", "No answer from the program yet: it is starting, has stopped, or cannot be reached", []);
      return;
    }
    const ago = span((Date.now() - answered) / 1000);
    const ended = last.summary.state === "draining";
    const what = ended ? "it was draining, so it has ended as it was told" : "it has stopped or cannot be reached";
    banner("gone", "gone", `No answer since ${last.time.slice(11, 19)} (${ago} ago): ${what}`, [`The figures below are of then. They said: ${last.summary.text}`]);
  };

  const poll = async () => {
    try {
      const answer = await fetch("api/v1/status", { signal: AbortSignal.timeout(PATIENCE), cache: "no-store" });
      if (!answer.ok) throw new Error(answer.status);
      const status = await answer.json();
      answered = Date.now();
      show(status);
      return true;
    } catch {
      gone();
      return false;
    }
  };

  chart("flow", [{ name: "in", member: "in", colour: "one" }, { name: "public", member: "public", colour: "two" }], (value) => `${short(value)}/s`);
  chart("behind", [{ name: "behind", member: "freshness", colour: "one" }], span);
  chart("refused", [{ name: "rejected", member: "rejected", colour: "three" }], (value) => `${short(value)}/s`);
  chart("waiting", [{ name: "waiting", member: "lag", colour: "one" }], short);
  const forever = async () => {
    await poll();
    setTimeout(forever, document.hidden ? HIDDEN : PERIOD);
  };
  forever();
  // For the tests, and for who looks with the browser's tools.
  window.cdrveil = { poll, show };
})();
