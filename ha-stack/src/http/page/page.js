// Reads /status and /history again and again and shows them. Everything that comes from there is set as text, never as
// markup. No dependency, no build step.
"use strict";

const POLL = 2000; // Milliseconds; longer where an answer takes long.
const MANY = 30; // From so many virtual servers on, their tables are folded, and made only when they are opened.
const CLOCK = { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" }; // As in logs.
const opened = new Set();

const byId = (id) => document.getElementById(id);

/// An element with properties and children; a string child becomes text.
function make(tag, properties, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties || {})) {
    if (name === "class") element.className = value;
    else element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

const list = (value) => (Array.isArray(value) ? value : []);
const text = (value) => (value === null || value === undefined ? "" : String(value));
const plural = (count, one, many) => `${count} ${count === 1 ? one : many}`;

// Only these words become class names.
const STATES = ["active", "backup", "initialize", "up", "down", "drain", "unknown"];
const pill = (state) => make("span", { class: `pill ${STATES.includes(state) ? state : "value"}` }, text(state));

function clock(time) {
  const date = new Date(time);
  if (Number.isNaN(date.getTime())) return "";
  const today = date.toDateString() === new Date().toDateString();
  return today ? date.toLocaleTimeString(undefined, CLOCK) : date.toLocaleDateString(undefined, { month: "short", day: "numeric" });
}

function span(milliseconds) {
  const seconds = Math.max(0, Math.round(milliseconds / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  return plural(Math.floor(seconds / 86400), "day", "days");
}

const stamp = (time) => make("time", { datetime: text(time), title: text(time) }, clock(time));
const age = (time) => make("time", { datetime: text(time), title: text(time), class: "age" }, "");

function refreshTimes() {
  for (const element of document.querySelectorAll("time.age")) {
    const elapsed = Date.now() - new Date(element.dateTime).getTime();
    const words = Number.isNaN(elapsed) ? "" : span(elapsed);
    if (element.textContent !== words) element.textContent = words;
  }
  // The last part of a timeline lasts until now.
  for (const bar of document.querySelectorAll(".timeline")) {
    bar.lastElementChild.style.flexGrow = Math.max(1, Date.now() - Number(bar.dataset.from));
  }
}

/// Keeps one child for each item, in order; builds anew only what is different from last time.
function reconcile(parent, items, key, build) {
  parent.kept = parent.kept || new Map();
  const old = parent.kept;
  const kept = new Map();
  items.forEach((item, index) => {
    const name = key(item, index);
    const said = JSON.stringify(item);
    let entry = old.get(name);
    if (!entry || entry.said !== said) {
      const open = entry && entry.element.querySelector("details[open]") !== null;
      const focused = entry && entry.element.contains(document.activeElement);
      const element = build(item);
      if (open && element.querySelector("details")) element.querySelector("details").open = true;
      if (entry) entry.element.replaceWith(element);
      if (focused && element.querySelector("summary")) element.querySelector("summary").focus({ preventScroll: true });
      entry = { said, element };
    }
    kept.set(name, entry);
    if (parent.children[index] !== entry.element) parent.insertBefore(entry.element, parent.children[index] || null);
  });
  while (parent.children.length > items.length) parent.lastElementChild.remove();
  parent.kept = kept;
  parent.parentElement.hidden = items.length === 0;
}

const fact = (term, ...value) => make("div", null, make("dt", null, term), make("dd", null, ...value));

function who(past) {
  if (past.state === "active") return ["by-us", "this host"];
  if (past.state === "initialize") return ["by-nobody", "not taking part"];
  return past.active_router ? ["by-other", text(past.active_router)] : ["by-unknown", "listening"];
}

function timeline(spans) {
  const now = Date.now();
  const starts = spans.map((past) => new Date(past.since).getTime());
  const bar = make("div", { class: "timeline", "data-from": String(starts[starts.length - 1]), role: "img", "aria-label": "Who was active, oldest first. The list below says the same." });
  spans.forEach((past, index) => {
    const until = index + 1 < starts.length ? starts[index + 1] : now;
    const [kind, name] = who(past);
    const length = Math.max(1, until - starts[index]);
    const part = make("span", { class: kind, title: `${clock(past.since)}: ${name}, for ${span(length)}. ${text(past.reason)}` });
    if (kind !== "by-nobody" && length > (now - starts[0]) / 6) part.textContent = name;
    part.style.flexGrow = length;
    bar.append(part);
  });
  return bar;
}

function past(entry) {
  const [kind, name] = who(entry);
  const words = ["by-us", "by-other"].includes(kind) ? `${name} active` : name;
  return make("li", null, stamp(entry.since), make("span", null, words, entry.reason ? `: ${entry.reason}` : ""));
}

function router(item) {
  const { router: status, spans } = item;
  const priority = status.effective_priority === status.priority
    ? text(status.priority) : `${status.effective_priority} (of ${status.priority})`;
  const active = status.state === "active" ? "this host" : text(status.active_router) || "not known";
  const card = make("article", { class: "card" },
    make("div", { class: "head" }, make("h3", null, text(status.name)), pill(status.state)),
    make("p", { class: "reason" }, text(status.reason)),
    ...list(status.problems).map((problem) => make("p", { class: "problem" }, `${text(problem.peer)}: ${text(problem.text)}`)),
    make("dl", null,
      fact(list(status.addresses).length === 1 ? "address" : "addresses", list(status.addresses).map(text).join(", ") || "none"),
      fact("active", active),
      fact("for", age(status.since)),
      fact("priority", priority),
      fact("on", `${text(status.interface)}, VRID ${text(status.vrid)}, VRRPv${text(status.version)}`)));
  if (spans.length > 0) {
    const latest = spans.slice(-5).reverse();
    const earlier = spans.slice(0, -5).reverse();
    card.append(timeline(spans),
      make("div", { class: "scale" }, make("span", null, clock(spans[0].since)), make("span", null, "now")),
      make("ol", { class: "past" }, ...latest.map(past)));
    if (earlier.length > 0) {
      card.append(make("details", null, make("summary", null, `${earlier.length} earlier`), make("ol", { class: "past" }, ...earlier.map(past))));
    }
  }
  return card;
}

function check(item) {
  const latency = Number.isFinite(item.last_latency_us) ? `${(item.last_latency_us / 1000).toFixed(2)} ms` : "";
  const words = item.state === "up" ? text(item.type) : `${text(item.type)} ${text(item.state)}`;
  const line = make("div", null, `${words} `, make("span", { class: "soft" }, latency));
  if (item.last_error && item.state !== "up") line.append(make("div", { class: "error" }, text(item.last_error)));
  return line;
}

function amount(bytes) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  let value = Number(bytes);
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${value < 10 && unit > 0 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}

/// What is carried now, and since when the row exists.
function traffic(carried) {
  const bytes = `${amount(carried.bytes_in_per_second)}/s in, ${amount(carried.bytes_out_per_second)}/s out`;
  const title = `${carried.connections} connections, ${amount(carried.bytes_in)} in and ${amount(carried.bytes_out)} out since the row exists`;
  return make("span", { title }, `${carried.connections_per_second}/s`, make("span", { class: "soft" }, ` ${bytes}`));
}

function load(server) {
  const parts = [];
  if (Number.isFinite(server.active_connections)) {
    const inactive = server.inactive_connections ? `, ${server.inactive_connections} inactive` : "";
    parts.push(make("div", null, `${server.active_connections} active`, make("span", { class: "soft" }, inactive)));
  }
  if (server.traffic) parts.push(make("div", null, traffic(server.traffic)));
  return parts;
}

function realServer(server) {
  const weight = server.effective_weight === server.weight ? text(server.weight) : `${server.effective_weight} (of ${server.weight})`;
  return make("tr", null,
    make("th", { scope: "row" }, text(server.address)),
    make("td", null, pill(server.state), ...(server.order && server.order !== server.state ? [" ", make("span", { class: "pill drain", title: "ordered by an operator" }, text(server.order))] : [])),
    make("td", { class: "number", "data-label": "weight" }, weight),
    make("td", { class: "load" }, ...load(server)),
    make("td", { class: "checks" }, ...list(server.checks).map(check)));
}

/// Closed, it is no more than its figures: what changes inside with every check is not looked at.
function listed(server, folded) {
  const reals = list(server.real_servers);
  const up = reals.filter((real) => real.state === "up").length;
  const shown = folded && !opened.has(server.name) ? { ...server, real_servers: undefined } : server;
  return { server: shown, folded, down: reals.length - up, figures: `${up} of ${plural(reals.length, "real server", "real servers")} up` };
}

function realServers({ server, figures }) {
  const heads = ["real server", "state", "weight", "connections", "checks"];
  return make("table", { class: "servers" },
    make("caption", null, figures),
    make("thead", null, make("tr", null, ...heads.map((head) => make("th", head === "weight" ? { scope: "col", class: "number" } : { scope: "col" }, head)))),
    make("tbody", null, ...list(server.real_servers).map(realServer)));
}

function folding(item, ...inside) {
  const name = item.server.name;
  const details = make("details", null, make("summary", null, item.figures));
  if (opened.has(name)) details.append(...inside.map((part) => part()));
  details.open = opened.has(name);
  details.addEventListener("toggle", () => {
    if (details.open === opened.has(name)) return;
    if (details.open) opened.add(name);
    else opened.delete(name);
    show(...lastShown);
  });
  return details;
}

/// What is wrong stands in the head, so that it is seen in many folded ones.
function virtualServer(item) {
  const { server, folded, down } = item;
  const quorum = server.quorum_met ? make("span", { class: "pill up" }, "quorum met") : make("span", { class: "pill down" }, "quorum lost");
  const missing = down > 0 ? make("span", { class: "pill drain" }, `${down} down`) : null;
  const pills = folded ? [server.quorum_met ? (missing ?? quorum) : quorum] : [missing, quorum].filter(Boolean);
  const sorry = server.sorry_server
    ? [fact("sorry server", text(server.sorry_server), ...(server.sorry_server_active ? [" ", make("span", { class: "pill drain" }, "answers now")] : []))] : [];
  const carried = server.traffic ? [fact("connections", traffic(server.traffic))] : [];
  const facts = () => make("dl", null,
    fact("protocol", text(server.protocol)),
    fact("scheduler", text(server.scheduler)),
    fact("forwarding", text(server.forwarding)),
    fact("quorum", text(server.quorum)),
    ...(folded ? [] : carried), ...sorry);
  return make("article", { class: "card" },
    make("div", { class: "head" }, make("h3", null, text(server.name)), make("div", { class: "pills" }, ...pills)),
    ...(folded ? [make("dl", null, ...carried), folding(item, facts, () => realServers(item))] : [facts(), realServers(item)]));
}

// keepalived's word for it is that of its scripts; people get that of the standard.
const happening = (word) => (word === "MASTER" ? "active" : text(word).toLowerCase().replaceAll("_", " "));

/// keepalived's `[10.0.0.1]:tcp:80` is `10.0.0.1:80` everywhere else on this page; a real server has its virtual server behind it.
function called(name) {
  const place = (whole, address, protocol, port) =>
    `${address.includes(":") ? `[${address}]` : address}:${port}${protocol === "tcp" ? "" : `/${protocol}`}`;
  return text(name).replace(/\[([0-9a-f.:]+)\]:(tcp|udp|sctp):(\d+)/g, place).replace(/^(\S+:\d\S*) (.+)$/, "$1 of $2");
}

function happened(event) {
  const words = happening(event.event);
  return make("li", null, stamp(event.time), make("b", null, called(event.name)),
    make("span", null, words, event.reason ? `: ${event.reason}` : ""));
}

/// Whether a virtual server is meant by each word that is looked for: a part of its name or state, or of those of its real servers.
function isMeant(server, words) {
  const reals = list(server.real_servers);
  const said = [server.name, server.quorum_met ? "quorum met" : "quorum lost", server.protocol, server.scheduler, server.sorry_server_active ? "sorry" : "",
    ...reals.flatMap((real) => [real.address, real.state, real.order])].map(text).join("\n").toLowerCase();
  return words.every((word) => said.includes(word));
}

let lastShown = null;

function show(status, history) {
  lastShown = [status, history];
  const routers = list(status.virtual_routers);
  const servers = list(status.virtual_servers);
  const told = history.virtual_routers || {};
  const host = text(history.host) || location.host;
  byId("host").textContent = host;
  reconcile(byId("routers").querySelector(".cards"),
    routers.map((router) => ({ router: { ...router, statistics: undefined }, spans: list(told[router.name]) })), ({ router }) => router.name, router);
  const folded = servers.length >= MANY;
  const cards = byId("servers").querySelector(".cards");
  cards.classList.toggle("folded", folded);
  byId("search").hidden = !folded;
  const words = folded ? byId("wanted").value.toLowerCase().split(/\s+/).filter(Boolean) : [];
  const meant = servers.filter((server) => isMeant(server, words));
  reconcile(cards,
    meant.map((server) => listed(server, folded)), ({ server }, index) => `${index} ${server.name}`, virtualServer);
  // Even when none is meant there is something to look through.
  byId("servers").hidden = servers.length === 0;
  const found = words.length > 0 ? `${meant.length} of ${servers.length}` : "";
  if (byId("found").textContent !== found) byId("found").textContent = found;
  reconcile(byId("tracked").querySelector(".chips"), list(status.tracked), (tracked) => `${tracked.kind} ${tracked.name}`,
    (tracked) => make("li", null, make("span", null, make("span", { class: "soft" }, `${text(tracked.kind)} `), text(tracked.name)), pill(tracked.state)));
  reconcile(byId("events").querySelector(".log"), list(history.events).slice(-40).reverse(), (event) => event.sequence, happened);

  const active = routers.filter((router) => router.state === "active").length;
  const reals = servers.flatMap((server) => list(server.real_servers));
  const parts = [];
  if (routers.length > 0) parts.push(`${active} of ${plural(routers.length, "virtual router", "virtual routers")} active here`);
  const lost = servers.filter((server) => !server.quorum_met).length;
  if (lost > 0) parts.push(`${plural(lost, "virtual server", "virtual servers")} without quorum`);
  if (servers.length > 0) parts.push(`${reals.filter((real) => real.state === "up").length} of ${plural(reals.length, "real server", "real servers")} up, ${status.data_plane === "none" ? "but nothing carries traffic to them" : `through ${text(status.data_plane)}`}`);
  const summary = parts.join(" · ") || "Nothing is configured";
  // Only what is different is read out.
  if (byId("summary").textContent !== summary) byId("summary").textContent = summary;
  document.title = `${active > 0 ? "●" : "○"} ${host}`;
  refreshTimes();
}

async function read(path) {
  const answer = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(10000) });
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.json();
}

let lastSeen = null;

/// What is shown is how it was when the daemon last answered; nobody may take it for how it is.
function setStale(error) {
  const live = byId("live");
  live.dataset.state = "lost";
  document.body.classList.add("stale");
  document.title = `✕ ${byId("host").textContent}`;
  const words = lastSeen ? `no answer since ${lastSeen.toLocaleTimeString(undefined, CLOCK)}` : "no answer";
  if (live.textContent !== words) live.textContent = words;
  byId("since").textContent = lastSeen ? `What is below is how it was ${span(Date.now() - lastSeen)} ago.` : "Nothing is known yet.";
  byId("stale").hidden = false;
  console.warn(`no answer: ${error}`);
}

let timer = null;
let looking = false;

async function look() {
  if (looking) return;
  looking = true;
  clearTimeout(timer);
  const begun = performance.now();
  if (!document.hidden) {
    try {
      const [status, history] = await Promise.all([read("status"), read("history")]);
      lastSeen = new Date();
      const live = byId("live");
      if (live.dataset.state !== "live") live.textContent = "live";
      live.dataset.state = "live";
      document.body.classList.remove("stale");
      byId("stale").hidden = true;
      show(status, history);
    } catch (error) {
      setStale(error);
    }
  }
  looking = false;
  timer = setTimeout(look, Math.max(POLL, 5 * (performance.now() - begun)));
}

// Whoever comes back to the page sees at once how it is.
document.addEventListener("visibilitychange", look);
byId("wanted").addEventListener("input", () => lastShown && show(...lastShown));
look();
