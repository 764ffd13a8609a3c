"use strict";
// The status page: one stream of events, each a whole status; what is shown is made from the last
// two of them and a few minutes of rates. Nothing is kept of what is not shown.

(() => {
  const KEPT = 300; // points of a plot: five minutes
  const SPEAK_EVERY = 15000; // how often a screen reader is told how it goes, in milliseconds
  const AGAIN_AFTER = 3000; // after the server refused a connection, in milliseconds

  const byId = (id) => document.getElementById(id);
  const write = (node, text) => {
    if (node.textContent !== text) node.textContent = text;
  };

  // ---- How figures are written --------------------------------------------------------------

  const scaled = (value, units, step) => {
    let size = Math.abs(value);
    let unit = 0;
    while (size >= step && unit < units.length - 1) {
      size /= step;
      value /= step;
      unit += 1;
    }
    const digits = unit === 0 || size >= 100 ? 0 : 1;
    return `${value.toFixed(digits)} ${units[unit]}`;
  };
  const bytes = (value) => scaled(value, ["B", "kB", "MB", "GB", "TB"], 1000);
  const bits = (value) => scaled(value, ["bit/s", "kbit/s", "Mbit/s", "Gbit/s"], 1000);
  const count = (value) => value.toLocaleString("en");
  const each = (value) => (value >= 10 || value === 0 ? count(Math.round(value)) : value.toFixed(1));
  const percent = (share) =>
    share === null || !Number.isFinite(share) ? "–" : `${(share * 100).toFixed(1)} %`;
  const seconds = (value) => {
    if (value === null || value === undefined) return "–";
    return value < 1 ? `${(value * 1000).toFixed(1)} ms` : `${value.toFixed(1)} s`;
  };
  const words = (name) => name.replaceAll("_", " ");
  const saved = (sent, unicast) => (unicast > 0 ? 1 - sent / unicast : null);
  const sum = (counts) => Object.values(counts).reduce((all, one) => all + one, 0);

  // ---- What each program shows --------------------------------------------------------------

  const state = (stream) => {
    if (stream.finished) return "ended";
    if (!stream.started) {
      return stream.wants ? `waits: ${stream.audience} of ${stream.wants}` : "waits";
    }
    return "flows";
  };

  const publisher = {
    key: (stream) => stream.stream,
    title: (stream) => stream.stream,
    note: (stream) => `session ${stream.session}, ${state(stream)}`,
    columns: ["Stream", "State", "Audience", "Rate", "Sent", "By unicast", "Saved", "Given up"],
    texts: 2,
    row: (stream, rate) => [
      state(stream),
      count(stream.audience),
      bits(8 * rate("egress_bytes")),
      bytes(stream.egress_bytes),
      bytes(stream.unicast_equivalent_bytes),
      percent(saved(stream.egress_bytes, stream.unicast_equivalent_bytes)),
      count(stream.given_up),
    ],
    tiles: (stream, rate) => [
      ["Audience", count(stream.audience)],
      ["On the wire", bits(8 * rate("egress_bytes"))],
      ["By unicast", bits(8 * rate("unicast_equivalent_bytes"))],
      ["Saved so far", percent(saved(stream.egress_bytes, stream.unicast_equivalent_bytes))],
      ["Repair", percent(stream.egress_bytes > 0 ? stream.repair_bytes / stream.egress_bytes : null)],
      ["Round trip", seconds(stream.grtt_seconds)],
    ],
    plot: {
      title: "Sent, and what unicast to the same audience would take",
      series: ["sent", "by unicast"],
      points: (rate) => [8 * rate("egress_bytes"), 8 * rate("unicast_equivalent_bytes")],
    },
    loss: (stream) => [
      ...Object.entries(stream.losses).map(([cause, lost]) => [LOSSES[cause] ?? words(cause), lost]),
      ["given up by subscribers", stream.given_up],
    ],
    repair: (stream) => [
      ["NAKs received", stream.naks_received, count],
      ["packets asked for", stream.packets_asked, count],
      ["sent as repair and parity", stream.repair_bytes, bytes],
      ...Object.entries(stream.repairs_suppressed).map(([why, all]) => [
        `not repaired: ${words(why)}`, all, count,
      ]),
      ["packets that could not be sent", sum(stream.send_errors), count],
      ["input dropped", stream.input_dropped, count],
    ],
    digest: (stream, rate) =>
      `${stream.stream}: ${state(stream)}, ${count(stream.audience)} subscribers, ` +
      `${bits(8 * rate("egress_bytes"))} sent, ` +
      `${percent(saved(stream.egress_bytes, stream.unicast_equivalent_bytes))} saved, ` +
      `${count(stream.given_up)} packets given up.`,
  };

  const subscriber = {
    key: (stream) => stream.group,
    title: (stream) => stream.stream ?? stream.group,
    note: (stream) =>
      `${stream.group} on ${stream.interface} → ${stream.output}` +
      (stream.session ? `, session ${stream.session}` : ", no session heard yet") +
      (stream.audience > 1 ? `, about ${count(stream.audience)} subscribers` : "") +
      (stream.joined ? "" : ", the interface is down"),
    columns: ["Group", "Stream", "Rate", "Received", "Delivered", "Missed", "Repaired", "Lost"],
    texts: 2,
    row: (stream, rate) => [
      stream.stream ?? "not heard",
      bits(8 * rate("received_bytes")),
      bytes(stream.received_bytes),
      bytes(stream.delivered_bytes),
      count(stream.missed_packets),
      count(stream.repaired_packets),
      count(stream.lost_packets),
    ],
    tiles: (stream, rate) => [
      ["Received", bits(8 * rate("received_bytes"))],
      ["Delivered", bits(8 * rate("delivered_bytes"))],
      ["Missed", percent(share(stream.missed_packets, stream))],
      ["Lost for good", percent(share(stream.lost_packets, stream))],
      ["Delay, median", seconds(stream.delay_seconds.p50)],
      ["Delay, p99", seconds(stream.delay_seconds.p99)],
    ],
    plot: {
      title: "Received from the network, and delivered to the output",
      series: ["received", "delivered"],
      points: (rate) => [8 * rate("received_bytes"), 8 * rate("delivered_bytes")],
    },
    loss: (stream) => [
      ["datagrams lost on the way", stream.wire_lost_datagrams],
      ["dropped by the kernel", stream.kernel_drops],
      ...Object.entries(stream.lost).map(([cause, lost]) => [
        `given up: ${LOSSES[cause] ?? words(cause)}`, lost,
      ]),
    ],
    repair: (stream) => [
      ["packets missed", stream.missed_packets, count],
      ["sent again", stream.resent_packets, count],
      ["given back by parity", stream.recovered_packets, count],
      ["parity used", stream.parity_used, count],
      ["parity not needed", stream.parity_unused, count],
      ["NAKs sent", stream.naks_sent, count],
      ["duplicates", stream.duplicate_packets, count],
    ],
    digest: (stream, rate) =>
      `${stream.stream ?? stream.group}: ${bits(8 * rate("received_bytes"))} received, ` +
      `${count(stream.repaired_packets)} packets repaired, ${count(stream.lost_packets)} lost.`,
  };

  const share = (packets, stream) => {
    const all = stream.delivered_packets + stream.lost_packets;
    return all > 0 ? packets / all : null;
  };
  const LOSSES = {
    wire: "lost on the way",
    kernel: "dropped by a subscriber's kernel",
    ring: "no room in the output's ring",
    late: "past the deadline",
    deadline: "past the deadline",
    unauthentic: "not authentic",
    unanswered: "nobody answered",
    left_window: "no longer kept by the publisher",
  };
  const VIEWS = { publisher, subscriber };
  const SUBSCRIBERS = [
    "Name", "State", "Received", "Repaired", "From parity", "Lost on the way", "Kernel drops",
    "Given up",
  ];

  // ---- What was, as far as it is shown ------------------------------------------------------

  /** Rates of one stream: its last status and the points of its plot. */
  class Past {
    constructor(stream) {
      this.session = stream.session;
      this.last = stream;
      this.before = null;
      this.points = [[], [], []];
    }

    /** The growth of a counter, a second. */
    rate(field) {
      if (!this.before) return 0;
      const time = this.last.at - this.before.at;
      return time > 0 ? Math.max(0, (this.last[field] - this.before[field]) / time) : 0;
    }

    take(stream, now, view) {
      this.before = this.last;
      this.last = stream;
      const values = [now, ...view.plot.points((field) => this.rate(field))];
      this.points.forEach((line, i) => {
        line.push(values[i]);
        if (line.length > KEPT) line.shift();
      });
    }
  }

  let view = null;
  let run = null; // which run of the program the figures are of
  let pasts = new Map();
  let chosen = null;
  let plot = null;
  let spoken = 0;
  let isPaused = false;

  const take = (status) => {
    view = VIEWS[status.program] ?? publisher;
    if (run !== status.started_at) {
      // Another run: its counters began anew, and so do we.
      run = status.started_at;
      pasts = new Map();
      spoken = 0;
    }
    const seen = new Map();
    for (const stream of status.streams) {
      const key = view.key(stream);
      let past = pasts.get(key);
      if (!past || past.session !== stream.session) past = new Past(stream);
      else past.take(stream, status.time, view);
      seen.set(key, past);
    }
    pasts = seen;
    if (!pasts.has(chosen)) chosen = pasts.keys().next().value ?? null;
    if (!isPaused) show(status);
  };

  // ---- Showing it ----------------------------------------------------------------------------

  const show = (status) => {
    write(byId("program"), status.program);
    write(byId("version"), `onecast ${status.version}`);
    document.title = `${status.program} – onecast`;
    head("streams-head", view.columns, view.texts);
    byId("no-streams").hidden = pasts.size > 0;
    rows("streams-body", [...pasts], streamRow);
    const past = pasts.get(chosen);
    byId("chosen").hidden = !past;
    if (past) showChosen(past);
    speak(past);
  };

  const showChosen = (past) => {
    const stream = past.last;
    const rate = (field) => past.rate(field);
    write(byId("chosen-title"), view.title(stream));
    write(byId("chosen-note"), view.note(stream));
    tiles(view.tiles(stream, rate));
    const before = past.before ?? stream;
    const time = stream.at - before.at;
    const grown = (now, old) => (time > 0 ? Math.max(0, now - old) / time : 0);
    const lossBefore = view.loss(before);
    rows("loss-body", view.loss(stream), (tr, [cause, lost], i) => {
      const a = each(grown(lost, lossBefore[i]?.[1] ?? lost));
      cells(tr, [cause, count(lost), a]);
    });
    const repairBefore = view.repair(before);
    rows("repair-body", view.repair(stream), (tr, [what, all, form], i) => {
      const a = grown(all, repairBefore[i]?.[1] ?? all);
      cells(tr, [what, form(all), form === bytes ? bits(8 * a) : each(a)]);
    });
    showSubscribers(stream);
    draw(past);
  };

  const showSubscribers = (stream) => {
    const all = stream.subscribers;
    byId("subscribers").hidden = !all;
    if (!all) return;
    head("subscribers-head", SUBSCRIBERS, 2);
    const order = new Intl.Collator("en", { numeric: true });
    const sorted = all.toSorted((a, b) => b.present - a.present || order.compare(a.name, b.name));
    rows("subscribers-body", sorted, (tr, one) => {
      const how = !one.present ? "silent or gone" : one.complete ? "has everything" : "listens";
      cells(tr, [one.name, how, ...[one.received, one.repaired, one.recovered, one.wire_losses, one.kernel_losses, one.lost].map(count)]);
      tr.cells[1].className = "text";
      tr.cells[7].className = one.lost > 0 ? "bad" : "";
    });
    const note = byId("subscribers-note");
    note.hidden = stream.subscribers_hidden === 0 && all.length > 0;
    write(note, all.length === 0 && stream.subscribers_hidden === 0
      ? "Nobody has been heard yet."
      : `${count(stream.subscribers_hidden)} more are not shown.`);
  };

  const streamRow = (tr, [key, past]) => {
    let button = tr.cells[0]?.firstElementChild;
    if (!button) {
      const th = document.createElement("th");
      th.scope = "row";
      button = document.createElement("button");
      button.type = "button";
      button.addEventListener("click", () => {
        chosen = button.dataset.key;
        if (latest) show(latest);
      });
      th.append(button);
      tr.append(th);
    }
    button.dataset.key = key;
    write(button, key);
    const pressed = String(key === chosen);
    if (button.getAttribute("aria-pressed") !== pressed) button.setAttribute("aria-pressed", pressed);
    cells(tr, view.row(past.last, (field) => past.rate(field)), 1);
    tr.cells[1].className = "text";
  };

  /** The heads of columns, the first of them over text. */
  const head = (id, names, texts) => {
    const tr = byId(id);
    if (tr.cells.length === names.length && tr.textContent === names.join("")) return;
    tr.replaceChildren(...names.map((name, i) => {
      const th = document.createElement("th");
      th.scope = "col";
      if (i < texts) th.className = "text";
      th.textContent = name;
      return th;
    }));
  };

  /** As many rows as there are things; those that are there are used again. */
  const rows = (id, things, fill) => {
    const body = byId(id);
    while (body.rows.length > things.length) body.deleteRow(-1);
    things.forEach((thing, i) => fill(body.rows[i] ?? body.insertRow(), thing, i));
  };

  const cells = (tr, texts, from = 0) => {
    texts.forEach((text, i) => {
      let cell = tr.cells[from + i];
      if (!cell) {
        cell = document.createElement(from + i === 0 ? "th" : "td");
        if (from + i === 0) cell.scope = "row";
        tr.append(cell);
      }
      write(cell, text);
    });
  };

  const tiles = (all) => {
    const list = byId("tiles");
    while (list.children.length > all.length) list.lastElementChild.remove();
    all.forEach(([name, value], i) => {
      let tile = list.children[i];
      if (!tile) {
        tile = document.createElement("div");
        tile.append(document.createElement("dt"), document.createElement("dd"));
        list.append(tile);
      }
      write(tile.firstElementChild, name);
      write(tile.lastElementChild, value);
    });
  };

  /** Says in words how it goes, and not with every event: a screen reader would never rest. */
  const speak = (past) => {
    const now = performance.now();
    if (spoken && now - spoken < SPEAK_EVERY) return;
    if (!past) {
      write(byId("digest"), "");
      return;
    }
    // The first status of a run has no rates yet.
    if (past.before) spoken = now;
    write(byId("digest"), view.digest(past.last, (field) => past.rate(field)));
    const lines = past.points.slice(1).map((line, i) => {
      const last = line.at(-1) ?? 0;
      const most = line.reduce((a, b) => Math.max(a, b), 0);
      return `${view.plot.series[i]} now ${bits(last)}, at most ${bits(most)}`;
    });
    const time = past.points[0].length > 1 ? past.points[0].at(-1) - past.points[0][0] : 0;
    write(byId("plot-text"), `The last ${Math.round(time)} s: ${lines.join("; ")}.`);
  };

  // ---- The plot ------------------------------------------------------------------------------

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  const clock = (time) => new Date(time * 1000).toLocaleTimeString("en-GB");

  const options = (box) => ({
    width: Math.max(1, box.clientWidth),
    height: Math.max(1, box.clientHeight),
    legend: { show: false },
    cursor: { show: false },
    scales: { y: { range: (_, __, most) => [0, Math.max(1000, most * 1.1)] } },
    axes: [
      {
        stroke: () => colour("--muted"), grid: { stroke: () => colour("--line"), width: 1 }, ticks: { show: false },
        size: 32, space: 80, values: (_, all) => all.map(clock),
      },
      {
        stroke: () => colour("--muted"), grid: { stroke: () => colour("--line"), width: 1 }, ticks: { show: false },
        size: 80, values: (_, all) => all.map(bits),
      },
    ],
    series: [
      {},
      { stroke: () => colour("--one"), width: 2, points: { show: false } },
      { stroke: () => colour("--two"), width: 2, dash: [6, 4], points: { show: false } },
    ],
  });

  const draw = (past) => {
    const box = byId("plot");
    write(byId("plot-title"), view.plot.title);
    const key = byId("plot-key");
    if (key.children.length === 0) key.append(...view.plot.series.map(() => document.createElement("li")));
    view.plot.series.forEach((name, i) => write(key.children[i], name));
    if (!plot) plot = new uPlot(options(box), past.points, box);
    else plot.setData(past.points);
  };

  new ResizeObserver(() => {
    const box = byId("plot");
    if (plot && box.clientWidth > 0) plot.setSize({ width: box.clientWidth, height: box.clientHeight });
  }).observe(byId("plot"));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => plot?.redraw());

  // ---- The connection ------------------------------------------------------------------------

  let latest = null;

  const say = (text, className) => {
    const node = byId("connection");
    write(node, text);
    if (node.className !== className) node.className = className;
  };

  const connect = () => {
    const events = new EventSource("events");
    events.addEventListener("message", (event) => {
      latest = JSON.parse(event.data);
      say(isPaused ? "paused" : "live", isPaused ? "waiting" : "live");
      take(latest);
    });
    events.addEventListener("error", () => {
      if (!byId("connection").classList.contains("gone")) {
        say(`no connection since ${new Date().toLocaleTimeString("en-GB")}, trying again`, "gone");
      }
      // The browser tries again by itself, unless it was refused.
      if (events.readyState === EventSource.CLOSED) setTimeout(connect, AGAIN_AFTER);
    });
  };

  byId("pause").addEventListener("click", (event) => {
    isPaused = !isPaused;
    event.currentTarget.setAttribute("aria-pressed", String(isPaused));
    say(isPaused ? "paused" : "live", isPaused ? "waiting" : "live");
    if (!isPaused && latest) show(latest);
  });

  connect();
})();
