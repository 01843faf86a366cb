// The page of runs. Asks the server's endpoints as any client does; whatever comes is put in as text, never as markup.
"use strict";

const KEY = "scenario-gen key"; // in sessionStorage: gone when the tab is closed
const TYPED = 350; // milliseconds of rest before a spec is checked
const LOOK = 5000; // milliseconds between looks at the lists
const FOLLOWED = 3; // jobs followed at once: a browser opens six connections to a server
const ENDED = ["done", "failed", "cancelled"];
const at = id => document.getElementById(id);

function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.includes("-")) made.setAttribute(name, value);
    else made[name] = value;
  }
  made.append(...children.filter(child => child !== ""));
  return made;
}

const say = words => { at("status").textContent = words; };
const warn = words => { at("alert").textContent = words; };

// --- Asking the server ---

class Refused extends Error {
  constructor(status, body) {
    const told = body && typeof body === "object" ? body.detail && typeof body.detail === "object" ? body.detail : body : {};
    const words = typeof told.problem === "string" ? told.problem : typeof told.detail === "string" ? told.detail : `the server answered ${status}`;
    super([words, told.expected && `expected: ${told.expected}`, told.fix && `to do: ${told.fix}`].filter(Boolean).join("\n"));
    this.status = status;
    this.problems = Array.isArray(told.problems) ? told.problems : [];
  }
}

async function ask(path, {method = "GET", body, signal} = {}) {
  const headers = {}, key = sessionStorage.getItem(KEY);
  if (key) headers.Authorization = `Bearer ${key}`;
  if (body) headers["Content-Type"] = "application/json";
  let answer;
  try {
    answer = await fetch(path, {method, headers, signal, body: body && JSON.stringify(body)});
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(0, {problem: "the server does not answer", fix: "see whether it runs, then try again"});
  }
  if (answer.ok) return answer;
  const refusal = new Refused(answer.status, await answer.json().catch(() => null));
  if (answer.status === 401) at("key").setAttribute("aria-invalid", "true");
  throw refusal;
}

const askJson = async (path, options) => (await ask(path, options)).json();

// What comes may be of another version: what cannot be read is told, and the rest is shown.
const textOf = value => (typeof value === "string" ? value : "");
const textsOf = value => (Array.isArray(value) ? value.filter(each => typeof each === "string") : []);
const rowOf = value => (value !== null && typeof value === "object" ? value : {});

function rowsOf(answer, key, place) {
  const rows = Array.isArray(answer) ? answer : [], known = rows.filter(row => textOf(rowOf(row)[key]));
  const odd = Array.isArray(answer) ? rows.length - known.length : 0;
  at(place).textContent = Array.isArray(answer) ? odd && `${odd} of ${rows.length} rows have no ${key} and are not shown` : "the server sent no list";
  at(place).hidden = Array.isArray(answer) && odd === 0;
  return known;
}

async function attempt(work) {
  try {
    warn("");
    return await work();
  } catch (error) {
    if (error.name !== "AbortError") warn(error.message);
    return undefined;
  }
}

// --- The spec: checked as one types ---

const spec = at("spec");
let checking = null, resting = 0, wrong = [];

function drawLines() {
  const told = new Map();
  for (const each of wrong) told.set(each.line, [told.get(each.line), each.problem].filter(Boolean).join("; "));
  at("lines").replaceChildren(...spec.value.split("\n").map((text, index) => {
    const words = told.get(index + 1);
    const line = element("span", {className: words ? "wrong" : ""}, element("b", {}, String(index + 1)));
    if (words) line.append(element("i", {}, text), element("em", {}, words));
    return line;
  }));
  follow();
}

function follow() { at("lines").style.transform = `translate(${-spec.scrollLeft}px, ${-spec.scrollTop}px)`; }

function showProblems(problems) {
  wrong = problems;
  spec.setAttribute("aria-invalid", String(problems.length > 0));
  at("problems").replaceChildren(...problems.map(each => {
    const place = [each.line ? `line ${each.line}` : "", each.field].filter(Boolean).join(", ");
    const help = [each.expected && `expected: ${each.expected}`, each.fix && `to do: ${each.fix}`].filter(Boolean);
    const button = element("button", {type: "button", onclick: () => goTo(each.line)}, `${place}${place ? ": " : ""}${each.problem}`);
    for (const words of help) button.append(element("small", {}, words));
    return element("li", {}, button);
  }));
  drawLines();
}

function goTo(line) {
  const lines = spec.value.split("\n"), row = Math.min(Math.max(line || 1, 1), lines.length) - 1;
  const start = lines.slice(0, row).reduce((sum, text) => sum + text.length + 1, 0);
  spec.focus();
  spec.setSelectionRange(start, start + lines[row].length);
  spec.scrollTop = Math.max(0, row * 20 - spec.clientHeight / 2);
  spec.scrollLeft = 0;
}

function judge(words, kind) {
  at("verdict-of-spec").textContent = words;
  at("verdict-of-spec").className = kind;
  at("submit").disabled = kind !== "good";
}

function typed() {
  at("submit").disabled = true;
  clearTimeout(resting);
  checking?.abort();
  drawLines();
  resting = setTimeout(check, TYPED);
}

async function check() {
  if (!spec.value.trim()) {
    showProblems([]);
    judge("Write a spec, or draft one: it is checked as you type.", "note");
    return;
  }
  const now = checking = new AbortController();
  try {
    const answer = await askJson("/api/validate", {method: "POST", body: {spec: spec.value}, signal: now.signal});
    if (now.signal.aborted) return;
    const problems = Array.isArray(answer.problems) ? answer.problems.map(rowOf) : [];
    showProblems(answer.ok ? [] : problems);
    if (!answer.ok) return judge(problems.length === 1 ? "One problem." : `${problems.length} problems.`, "bad");
    const named = (Array.isArray(answer.scenarios) ? answer.scenarios : []).map(each => textOf(rowOf(each).name)).join(", ");
    const strategies = textsOf(answer.strategies).join(", ");
    judge(`Can run: ${[named, strategies].filter(Boolean).join("; ")}.`, "good");
  } catch (error) {
    if (error.name === "AbortError") return;
    showProblems(error.problems || []);
    judge(`Not checked: ${error.message}`, "bad");
  }
}

async function draft(event) {
  event.preventDefault();
  const form = new FormData(at("draft")), body = {source: form.get("source"), generator: form.get("generator")};
  body.horizon = Number(form.get("horizon"));
  body.paths = Number(form.get("paths"));
  if (form.get("end")) body.end = form.get("end");
  const uses = form.get("strategies").split(",").map(use => use.trim()).filter(Boolean);
  if (uses.length) body.strategies = uses;
  const answer = await attempt(() => askJson("/api/draft", {method: "POST", body}));
  if (!answer) return;
  if (!textOf(answer.spec)) return warn("the server sent no spec\nto do: reload this page, which may be of another version");
  spec.value = answer.spec;
  spec.scrollTop = 0;
  typed();
  spec.focus();
}

async function submit(event) {
  event.preventDefault();
  at("submit").disabled = true;
  try {
    warn("");
    const job = await askJson("/api/jobs", {method: "POST", body: {spec: spec.value}});
    keep(job);
    say(`${nameOf(job)} waits for its turn.`);
  } catch (error) {
    if (error.problems?.length) showProblems(error.problems);
    warn(error.message);
  }
  at("submit").disabled = at("verdict-of-spec").className !== "good";
}

// --- Jobs, and how far they are ---

const jobs = new Map(), followed = new Map();
const nameOf = job => textOf(job.name) || textOf(job.folder) || job.id;

function keep(job) {
  if (!textOf(rowOf(job).id)) return;
  const before = jobs.get(job.id);
  jobs.set(job.id, job);
  drawJobs();
  if (ENDED.includes(job.state) && before && !ENDED.includes(before.state)) {
    say(`${nameOf(job)}: ${job.state}${job.verdict ? `, verdict ${job.verdict}` : ""}`);
    lookAtRuns();
  }
  if (job.state === "running" || job.state === "queued") listen(job.id);
}

function drawJobs() {
  const shown = [...jobs.values()].filter(job => job.state !== "done").sort((a, b) => (a.made < b.made ? 1 : -1));
  at("no-jobs").hidden = shown.length > 0;
  redraw(at("jobs"), shown, job => job.id, job => {
    const name = nameOf(job), row = [element("strong", {}, name), badge(textOf(job.state) || "no state")];
    if (job.state === "running") {
      const bar = element("progress", {"aria-label": `${name}: ${textOf(job.stage) || "begins"}`});
      const counted = job.total > 0 && job.done >= 0;
      if (counted) Object.assign(bar, {max: job.total, value: job.done});
      row.push(bar, element("small", {}, [textOf(job.stage), counted ? `${job.done} of ${job.total}` : ""].filter(Boolean).join(": ")));
    }
    if (textOf(job.error)) row.push(element("small", {className: "bad"}, job.error));
    const verb = {queued: "cancel", running: "cancel", failed: "resume", cancelled: "resume"}[job.state];
    const words = {cancel: "Cancel", resume: "Resume"}[verb];
    const act = () => attempt(async () => keep(await askJson(`/api/jobs/${encodeURIComponent(job.id)}/${verb}`, {method: "POST"})));
    if (words) row.push(element("div", {className: "acts"}, element("button", {type: "button", "aria-label": `${words} ${name}`, onclick: act}, words)));
    return row;
  });
}

const badge = label => element("span", {className: "verdict", "data-label": label}, label);

// Keeps the rows that have not changed, so that the focus stays where it is.
function redraw(list, entries, idOf, contentOf) {
  const old = new Map([...list.children].map(row => [row.dataset.id, row]));
  const focused = document.activeElement?.closest("#jobs li, #runs li")?.dataset.id;
  entries.forEach((entry, index) => {
    const id = idOf(entry), body = JSON.stringify(entry), row = old.get(id) || element("li");
    old.delete(id);
    row.dataset.id = id;
    if (row.said !== body) {
      const held = focused === id && row.contains(document.activeElement);
      row.replaceChildren(...contentOf(entry));
      row.said = body;
      if (held) row.querySelector("button")?.focus();
    }
    if (list.children[index] !== row) list.insertBefore(row, list.children[index] || null);
  });
  for (const row of old.values()) row.remove();
}

// An EventSource sends no key, so the events are read from a stream.
async function listen(id) {
  if (followed.has(id) || followed.size >= FOLLOWED) return;
  const ending = new AbortController();
  followed.set(id, ending);
  try {
    const answer = await ask(`/api/jobs/${encodeURIComponent(id)}/events`, {signal: ending.signal});
    for await (const data of eventsOf(answer.body)) {
      keep(JSON.parse(data));
      if (ENDED.includes(jobs.get(id).state)) break;
    }
  } catch (error) {
    // The next look at the list says how the job is, and listens again.
  }
  ending.abort();
  followed.delete(id);
}

async function* eventsOf(stream) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const {value, done} = await reader.read();
    if (done) return;
    const pieces = (rest + value).replaceAll("\r\n", "\n").split("\n\n");
    rest = pieces.pop();
    for (const piece of pieces) {
      const lines = piece.split("\n").filter(line => line.startsWith("data:"));
      if (lines.length) yield lines.map(line => line.slice(5).replace(/^ /, "")).join("\n");
    }
  }
}

// --- Runs, and the report beside ---

const rooms = []; // windows that wait for a report, each with its text
let open = null; // the run that is read

async function lookAtRuns() {
  const runs = rowsOf(await askJson("/api/runs"), "name", "odd-runs");
  at("no-runs").hidden = runs.length > 0;
  redraw(at("runs"), runs, run => run.name, run => {
    const current = open?.name === run.name ? {"aria-current": "true"} : {};
    const button = element("button", {type: "button", className: "open", onclick: () => read(run.name), ...current}, run.name);
    const head = [textOf(run.title), textOf(run.made) && moment(run.made)].filter(Boolean).join(", ");
    const about = [head, [...textsOf(run.scenarios), ...textsOf(run.strategies)].join(", ")].filter(Boolean).join("\n");
    const row = [button, badge(textOf(run.verdict) || "no verdict"), element("small", {}, about)];
    const lacks = Array.isArray(run.lacks) ? textsOf(run.lacks) : ["title", "made", "scenarios", "strategies"].filter(key => run[key] === undefined);
    if (lacks.length) row.push(element("small", {className: "bad"}, `cannot be read in this run.json: ${lacks.join(", ")}; the report may tell`));
    return row;
  });
}

function moment(text) {
  const date = new Date(text);
  return Number.isNaN(date.getTime()) ? text : date.toLocaleString(undefined, {dateStyle: "medium", timeStyle: "short"});
}

const read = name => attempt(async () => {
  const answer = await ask(`/api/runs/${encodeURIComponent(name)}/report`);
  open = {name, text: await answer.text()};
  at("report-title").textContent = name;
  at("report-tools").hidden = false;
  const frame = element("iframe", {title: `Report of ${name}`});
  frame.setAttribute("sandbox", "allow-scripts");
  frame.src = "/web/frame";
  at("report").replaceChildren(frame);
  rooms.splice(0, rooms.length, {room: frame.contentWindow, text: open.text});
  mark();
  at("report-title").focus({preventScroll: true});
  at("report-title").scrollIntoView({block: "nearest"});
  if (at("report").getBoundingClientRect().bottom > innerHeight + 100) at("report-title").scrollIntoView(); // on a phone
});

function mark() {
  for (const button of document.querySelectorAll("#runs .open")) {
    if (open?.name === button.textContent) button.setAttribute("aria-current", "true");
    else button.removeAttribute("aria-current");
  }
}

function shut() {
  const name = open?.name;
  open = null;
  at("report-title").textContent = "Report";
  at("report-tools").hidden = true;
  at("report").replaceChildren(element("p", {className: "note"}, "Choose a run to read its report here."));
  mark();
  [...document.querySelectorAll("#runs .open")].find(button => button.textContent === name)?.focus();
}

function inTab() {
  const room = window.open("/web/frame");
  if (room) rooms.push({room, text: open.text});
  else warn("the browser opened no tab\nto do: allow this page to open tabs, or save the report");
}

function save() {
  const link = element("a", {href: URL.createObjectURL(new Blob([open.text], {type: "text/html"})), download: `${open.name}.html`});
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

// A frame has no origin to name; that it is one of ours is known by its window.
window.addEventListener("message", event => {
  const waiting = rooms.find(each => each.room === event.source);
  if (waiting && event.data === "ready") event.source.postMessage(waiting.text, "*");
});

// --- Beginning, and looking again ---

async function look() {
  try {
    const listed = rowsOf(await askJson("/api/jobs"), "id", "odd-jobs");
    for (const id of jobs.keys()) if (!listed.some(job => job.id === id)) jobs.delete(id);
    listed.forEach(keep);
    drawJobs();
    await lookAtRuns();
    at("key").removeAttribute("aria-invalid");
    if (at("alert").dataset.of === "look") warn("");
    at("alert").dataset.of = "";
  } catch (error) {
    if (at("alert").textContent === "" || at("alert").dataset.of === "look") {
      warn(error.status === 401 ? "This server asks for a key: enter one above." : error.message);
      at("alert").dataset.of = "look";
    }
  }
}

function useKey(event) {
  event.preventDefault();
  const key = at("key").value.trim();
  if (!/^[\x21-\x7e]+$/.test(key)) return warn("a key is made of letters, digits and signs, without spaces");
  sessionStorage.setItem(KEY, key);
  at("key").value = "";
  return begin("The key is used from now on.");
}

function begin(words) {
  warn("");
  for (const ending of followed.values()) ending.abort();
  jobs.clear();
  at("key").placeholder = sessionStorage.getItem(KEY) ? "in use" : "no key in use";
  say(words);
  if (spec.value.trim()) typed();
  return look();
}

spec.addEventListener("input", typed);
spec.addEventListener("scroll", follow);
at("draft").addEventListener("submit", draft);
at("run").addEventListener("submit", submit);
at("key-form").addEventListener("submit", useKey);
at("forget").addEventListener("click", () => {
  sessionStorage.removeItem(KEY);
  at("runs").replaceChildren();
  shut();
  begin("The key is forgotten.");
});
at("tab").addEventListener("click", inTab);
at("save").addEventListener("click", save);
at("close").addEventListener("click", shut);
drawLines();
begin("");
setInterval(() => { if (!document.hidden) look(); }, LOOK);
