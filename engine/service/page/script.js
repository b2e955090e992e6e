// The page of a door: what the camera shows goes to the service, and what the service says is shown. Nothing else is fetched.
"use strict";

const $ = (id) => document.getElementById(id);
const TOKEN = "onek-token", WARNED = "onek-warned", CHOSEN = "onek-gallery", CAMERA = "onek-camera";
const WIDTH = 640, PAUSE = 120, AGAIN = 1500, SHOTS = 12, POOR = 0.1, LEAST = 0.0001;
// Milliseconds until a request is given up: at the door, of a desk that sends pictures, and of work that grows with the gallery,
// for which the service takes 40 times as long as for others.
const SOON = 6000, DESK = 45000, LONG = 1230000;
// Milliseconds that an answer is shown: of a camera that is watched, and of pictures that are sent once. And between two looks at
// what happened.
const STAYS = 4000, STAYS_ONCE = 10000, EVENTS = 5000;
const ROLES = ["door", "desk", "admin"];
const page = {
  texts: null, settings: null, gallery: null, view: "door", stream: null, running: false, gone: false, shots: [], left: 0, asked: null,
};

// Texts.

function say(key, values = {}) {
  const found = page.texts?.[key] ?? key;
  const text = typeof found === "string" ? found : found[new Intl.PluralRules(document.documentElement.lang).select(Number(values.count))];
  return text.replace(/\{(\w+)\}/g, (_, name) => String(values[name] ?? ""));
}

function percent(share) {
  return `${Number((100 * share).toPrecision(3))} %`;
}

function number(value) {
  return value === null || value === undefined ? "–" : String(Number(value.toPrecision(3)));
}

function expected(value) {
  return value !== null && value !== undefined && value < LEAST ? say("less_than", { number: LEAST }) : number(value);
}

function listed(names) {
  return names.length < 2 ? names.join("") : names.slice(0, -1).join(", ") + say("and") + names.at(-1);
}

function made(tag, text, attributes = {}) {
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = text;
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

function row(cells) {
  // The roles are said, since a small screen shows rows as blocks, which browsers no longer take for a table's.
  const line = made("tr", undefined, { role: "row" });
  cells.forEach((cell, at) => {
    const box = line.appendChild(at ? made("td", undefined, { role: "cell" }) : made("th", undefined, { scope: "row", role: "rowheader" }));
    box.append(...[cell].flat());
  });
  return line;
}

function fill(id, lines, { more = false } = {}) {
  const columns = [...$(id).closest("table").tHead.rows[0].cells].map((cell) => cell.textContent);
  for (const line of lines) [...line.cells].forEach((cell, at) => at && (cell.dataset.column = columns[at]));
  if (more) $(id).append(...lines);
  else $(id).replaceChildren(...lines);
}

// The service.

class Refused extends Error {
  constructor(status, code, message, id) {
    super(message);
    Object.assign(this, { status, code, id });
  }
}

async function fetched(path, limit, options = {}) {
  const answer = await fetch(path, { ...options, cache: "no-store", signal: AbortSignal.timeout(limit) });
  const said = await answer.json().catch((error) => {
    if (error instanceof SyntaxError) return null;  // a proxy's own page
    throw error;
  });
  return { answer, said };
}

async function ask(method, path, { body, query = {}, type, limit = SOON } = {}) {
  const headers = {};
  const token = sessionStorage.getItem(TOKEN);
  if (token) headers.Authorization = `Bearer ${token}`;
  if (type) headers["Content-Type"] = type;
  const asked = new URLSearchParams(query).toString();
  const { answer, said } = await fetched(`v1/${path}${asked ? "?" + asked : ""}`, limit, { method, headers, body, credentials: "omit" });
  if (answer.ok && said) return said;
  const { code = "unknown", message = String(answer.status), request_id: id = "" } = said?.error ?? {};
  if (answer.status === 401) askForToken(Boolean(token));
  throw new Refused(answer.status, code, message, id);
}

function inGallery(...parts) {
  if (parts.some((part) => [".", ".."].includes(part))) throw new Refused(0, "name", say("name_dots"), "");  // no browser sends these
  return ["galleries", page.gallery, ...parts].map(encodeURIComponent).join("/");
}

function isLost(error) {
  return error instanceof TypeError || ["TimeoutError", "AbortError", "NetworkError"].includes(error?.name);
}

function inShort(error, lost = "lost_more") {
  if (error instanceof Refused) return error.id ? say("error", { message: error.message, id: error.id }) : error.message;
  return isLost(error) ? `${say("state_lost")}. ${say(lost)}` : String(error);
}

function trouble(error, lost) {
  const box = $("trouble");
  box.hidden = !error;
  if (error && page.texts) box.textContent = inShort(error, lost);  // until the texts are there, it says what the page was sent with
}

async function trying(work) {
  try {
    trouble(null);
    return await work();
  } catch (error) {
    if (error.status !== 401) trouble(error);  // the dialog asks for a token then
    return undefined;
  }
}

function askForToken(wrong) {
  $("token-said").textContent = wrong ? say("token_wrong") : "";
  if (!$("token").open) $("token").showModal();
}

function may(role) {
  return page.settings && ROLES.indexOf(page.settings.role) >= ROLES.indexOf(role);
}

// The door.

function state(kind, text, more) {
  const box = $("state");
  if (box.dataset.state !== kind) box.dataset.state = kind;
  if ($("state-text").textContent !== text) $("state-text").textContent = text;
  if ($("state-more").textContent !== more) $("state-more").textContent = more;
}

function stateOf(results) {
  const names = results.filter((each) => each.decision === "identified").map((each) => each.identity);
  const unknown = results.filter((each) => each.decision === "unknown").length;
  const refused = results.find((each) => each.decision === "refused");
  if (refused) {
    const more = refused.reasons ? say("state_refused_again", { why: refused.reasons }) : say(`state_refused_${refused.refused_by}_more`);
    return state("refused", say("state_refused"), more);
  }
  if (names.length && unknown) return state("identified", say("state_mixed", { names: listed(names), unknown }), say("state_mixed_more"));
  if (names.length) return state("identified", say("state_identified", { names: listed(names) }), say("state_identified_more"));
  if (unknown) return state("unknown", say("state_unknown"), say("state_unknown_more"));
  const problem = results[0]?.reasons;
  if (problem && problem !== "no face found") return state("failed", say("state_problem"), problem);
  return state("failed", say("state_failed"), say("state_failed_more"));
}

function draw(results, width, height) {
  const canvas = $("boxes"), paint = canvas.getContext("2d");
  canvas.width = width;
  canvas.height = height;
  const size = Math.max(14, width / 26);
  paint.font = `600 ${size}px system-ui, sans-serif`;
  paint.lineWidth = Math.max(2, width / 200);
  for (const each of results) {
    if (!each.box) continue;
    const { x, y, width: wide, height: high } = each.box;
    const known = each.decision === "identified";
    const name = known ? each.identity : say(`decision_${each.decision}`);
    paint.strokeStyle = known ? "#2fd070" : "#ff6a5c";
    paint.strokeRect(x, y, wide, high);
    const long = paint.measureText(name).width + size;
    const top = Math.min(height - 1.5 * size, y + high);
    paint.fillStyle = known ? "#0a4a24" : "#6b120a";
    paint.fillRect(x, top, long, 1.5 * size);
    paint.fillStyle = "#fff";
    paint.fillText(name, x + size / 2, top + 1.1 * size);
  }
}

function explain(answer) {
  $("threshold").textContent = say("threshold_says", { says: answer.threshold.says });
  $("words").replaceChildren(...answer.results.map((each, at) => made("li", inWords(each, at + 1))));
  fill("thoughts", answer.results.map((each, at) => row([
    String(at + 1),
    say(`decision_${each.decision}`) + (each.identity ? `: ${each.identity}` : ""),
    number(each.score),
    number(each.threshold),
    expected(each.expected_false_alarms),
    each.candidates.map((one) => `${one.identity} ${number(one.score)}`).join(", ") || (each.reasons ?? "–"),
  ])));
}

function inWords(each, face) {
  const nearest = each.candidates[0];
  const why = each.reasons ?? say(`words_${each.refused_by}`);
  if (!nearest) return say("words_failed", { why });
  return say(`words_${each.decision}`, {
    face, name: each.identity, nearest: nearest.identity, score: number(each.score), threshold: number(each.threshold),
    expected: expected(each.expected_false_alarms), why,
  });
}

function shown(answer, width, height, stays) {
  draw(answer.results, width, height);
  stateOf(answer.results);
  explain(answer);
  clearTimeout(page.fading);
  page.fading = setTimeout(fade, stays);
}

function fade() {
  if (page.running) draw([], 1, 1);
  if (!page.running) state("idle", say("state_idle"), say("state_idle_more"));
  else if (page.settings?.challenge) state("idle", say("challenge_front"), say("state_refused_challenge_more"));
  else state("wait", say("state_looking"), "");
}

function failedToAsk(error) {
  clearTimeout(page.fading);
  draw([], 1, 1);
  if (isLost(error)) return state("lost", say("state_lost"), say("state_lost_more"));
  if (!(error instanceof Refused)) return state("lost", say("state_error"), String(error));
  if ([429, 503].includes(error.status)) return state("wait", say("state_busy"), say("state_busy_more"));
  if (error.status === 401) return state("lost", say("state_token"), say("state_token_more"));
  if (error.code === "challenge") return state("refused", say("state_refused"), say("state_refused_again", { why: error.message }));
  return state("lost", say([413, 415, 422].includes(error.status) ? "state_problem" : "state_error"), inShort(error));
}

function frameOf(video) {
  const scale = Math.min(1, WIDTH / video.videoWidth);
  const canvas = document.createElement("canvas");
  canvas.width = Math.round(video.videoWidth * scale);
  canvas.height = Math.round(video.videoHeight * scale);
  canvas.getContext("2d").drawImage(video, 0, 0, canvas.width, canvas.height);
  return new Promise((done) => canvas.toBlob((data) => done({ data, width: canvas.width, height: canvas.height }), "image/jpeg", 0.92));
}

const later = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

async function identify(data, query = {}, limit = SOON) {
  if (!page.gallery) await begin();
  return ask("POST", inGallery("identify"), { body: data, query, type: data.type || "application/octet-stream", limit });
}

async function watch(stream) {
  while (page.stream === stream && page.running) {
    let pause = PAUSE;
    try {
      if (stream.getVideoTracks()[0].muted) {  // the last picture that it sent is still there, of whoever stood there
        clearTimeout(page.fading);
        draw([], 1, 1);
        state("lost", say("camera_still"), say("camera_still_more"));
      } else if (page.view === "door" && !document.hidden && $("video").videoWidth && !page.challenged) {
        const { data, width, height } = await frameOf($("video"));
        const answer = await identify(data);
        if (page.stream === stream && !page.challenged) shown(answer, width, height, STAYS);
        trouble(null);
      }
    } catch (error) {
      if (page.stream === stream) failedToAsk(error);
      pause = AGAIN;
    }
    await later(pause);
  }
}

async function chosenCamera() {
  const chosen = JSON.parse(localStorage.getItem(CAMERA) ?? "null"), found = chosen ? await cameras() : [];
  // Some browsers give a camera another id at each visit, but not another name.
  return found.find((each) => each.deviceId === chosen.id) ?? found.find((each) => each.label && each.label === chosen.label);
}

async function openStream() {
  const open = (which) => navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 1280 }, ...which }, audio: false });
  let chosen = await chosenCamera();
  if (chosen) return open({ deviceId: { exact: chosen.deviceId } });
  const stream = await open({ facingMode: "user" });
  chosen = await chosenCamera();  // ids and names are told from now on
  if (!chosen || chosen.deviceId === stream.getVideoTracks()[0].getSettings().deviceId) return stream;
  for (const track of stream.getTracks()) track.stop();
  return open({ deviceId: { exact: chosen.deviceId } });
}

async function openCamera(video) {
  if (!navigator.mediaDevices?.getUserMedia) throw "camera_insecure";
  try {
    const stream = await openStream();
    video.srcObject = stream;
    await video.play();
    for (const track of stream.getVideoTracks()) track.addEventListener("ended", () => cameraGone(stream));
    return stream;
  } catch (error) {
    const keys = { NotAllowedError: "camera_denied", SecurityError: "camera_denied", NotFoundError: "camera_none", OverconstrainedError: "camera_none" };
    throw keys[error.name] ?? "camera_taken";
  }
}

async function cameras() {
  const found = await navigator.mediaDevices?.enumerateDevices?.() ?? [];
  return found.filter((each) => each.kind === "videoinput");
}

async function listCameras() {
  const found = (await cameras()).filter((each) => each.deviceId);  // until one was allowed, they have neither ids nor names
  const used = page.stream?.getVideoTracks()[0]?.getSettings().deviceId ?? (await chosenCamera())?.deviceId;
  for (const select of document.querySelectorAll("select.cameras")) {
    select.replaceChildren(...found.map((each, at) => {
      const name = each.label || say("camera_number", { number: at + 1 });
      return new Option(name, each.deviceId, false, each.deviceId === used);
    }));
    select.parentElement.hidden = found.length < 2;
  }
}

async function chooseCamera(event) {
  const [chosen] = event.target.selectedOptions;
  localStorage.setItem(CAMERA, JSON.stringify({ id: chosen.value, label: chosen.label }));
  if (!page.stream) return;
  const start = page.view === "door" ? toggleCamera : deskCamera;
  stopCamera();
  await start();
}

function cameraGone(stream) {
  if (page.stream !== stream) return;
  stopCamera();
  page.gone = true;
  draw([], 1, 1);
  if (page.view === "door") state("lost", say("camera_gone"), say("camera_gone_more"));
  else $("enrol-said").textContent = `${say("camera_gone")}. ${say("camera_gone_more")}`;
}

async function camerasChanged() {
  const found = await cameras();
  const used = page.stream?.getVideoTracks()[0];
  const id = used?.getSettings().deviceId;
  if (used && (used.readyState === "ended" || (id && !found.some((each) => each.deviceId === id)))) cameraGone(page.stream);
  else if (page.gone && found.length && page.view === "door") await toggleCamera();
  await listCameras();
}

function stopCamera() {
  clearTimeout(page.fading);
  page.running = page.gone = false;
  for (const track of page.stream?.getTracks() ?? []) track.stop();
  page.stream = null;
  for (const id of ["video", "desk-video"]) $(id).srcObject = null;
  $("desk-video").hidden = $("desk-shot").hidden = true;
  $("camera").textContent = say("camera_start");
}

function idle() {
  clearTimeout(page.fading);
  draw([], 1, 1);
  state("idle", say("state_idle"), say("state_idle_more"));
}

async function toggleCamera() {
  clearTimeout(page.fading);
  page.gone = false;
  if (page.stream) {
    stopCamera();
    idle();
    $("drop-hint").hidden = false;
    return;
  }
  try {
    $("dropped").hidden = true;
    page.stream = await openCamera($("video"));
    await listCameras();
    $("camera").textContent = say("camera_stop");
    $("drop-hint").hidden = true;
    state("wait", say("state_looking"), "");
    page.running = true;
    if (!page.settings?.challenge) watch(page.stream);
    else state("idle", say("challenge_front"), say("state_refused_challenge_more"));
  } catch (key) {
    state("lost", say(key), say(`${key}_more`));
  }
}

async function showPicture(file) {
  if (!file) return;
  stopCamera();
  const url = URL.createObjectURL(file), image = $("dropped");
  $("drop-hint").hidden = true;
  state("wait", say("state_looking"), "");
  image.hidden = false;
  image.src = url;
  await image.decode().catch(() => { image.hidden = true; });
  URL.revokeObjectURL(url);
  try {
    shown(await identify(file, {}, DESK), image.naturalWidth || 1, image.naturalHeight || 1, STAYS_ONCE);
  } catch (error) {
    failedToAsk(error);
  }
}

async function challenge() {
  if (!page.stream) await toggleCamera();
  const stream = page.stream;
  if (!stream) return;
  page.challenged = true;
  $("challenge").disabled = true;
  clearTimeout(page.fading);
  draw([], 1, 1);
  try {
    let last;
    const asked = await ask("POST", inGallery("challenges"));
    const form = new FormData();
    const take = async (key, frames) => {
      state("wait", say(key), say("challenge_more"));
      await later(key === "challenge_front" ? 700 : 1400);
      for (let at = 0; at < frames; at += 1) {
        if (page.stream !== stream) throw new Error(say("camera_gone"));
        last = await frameOf($("video"));
        form.append("picture", last.data);
        await later(250);
      }
    };
    await take("challenge_front", 1);
    const first = last;
    for (const turn of asked.turns) await take(`challenge_${turn}`, 3);
    state("wait", say("challenge_asking"), "");
    const answer = await ask("POST", inGallery("challenges", "answer"), { body: form, query: { challenge: asked.challenge }, limit: DESK });
    if (page.stream === stream) shown(answer, first.width, first.height, STAYS_ONCE);
  } catch (error) {
    if (page.stream === stream) failedToAsk(error);
  }
  $("challenge").disabled = false;
  page.challenged = false;
}

// The desk.

async function addShots(files) {
  const taken = [...files].slice(0, SHOTS - page.shots.length);
  page.left = files.length - taken.length;
  for (const file of taken) page.shots.push({ file, said: null, done: false });
  await lookAtShots();
}

async function lookAtShots() {
  const waiting = page.shots.filter((shot) => !shot.said);
  if (waiting.length) $("enrol-said").textContent = say("enrol_looking", { count: waiting.length });
  await trying(async () => {
    for (const shot of waiting) {
      const { results } = await identify(shot.file, { look: true, faces: "all" }, DESK);
      shot.said = judged(results);
    }
  });
  showShots();
}

function judged(results) {
  const faces = results.filter((each) => each.decision !== "failed");
  if (!faces.length) return { good: false, text: say("shot_failed", { problem: results[0]?.reasons ?? "" }) };
  if (faces.length > 1) return { good: false, text: say("shot_several", { count: faces.length }) };
  const [face] = faces;
  const share = face.quality;
  const quality = share === null ? say("shot_quality_unknown") : say("shot_quality", { quality: percent(share) });
  const verdict = share === null || share >= POOR ? say("shot_good") : say("shot_poor", { reasons: face.reasons ?? say("shot_sharper") });
  const known = face.decision === "identified"
    ? say("shot_already", { name: face.identity, score: number(face.score), threshold: number(face.threshold) }) : say("shot_new");
  return { good: true, text: `${quality}, ${verdict}; ${known}`, like: face.decision === "identified" ? face.identity : null };
}

function showShots() {
  $("shots").replaceChildren(...page.shots.map((shot, at) => {
    const item = made("li"), image = made("img", undefined, { alt: "" });
    shot.url ??= URL.createObjectURL(shot.file);
    image.src = shot.url;
    const out = made("button", say("shot_remove"), { type: "button" });
    out.addEventListener("click", () => {
      URL.revokeObjectURL(shot.url);
      page.shots.splice(at, 1);
      showShots();
      $("enrol-name").focus();
    });
    item.append(image, made("p", shot.done ? say("shot_done") : shot.said?.text ?? ""), out);
    return item;
  }));
  const good = page.shots.filter((shot) => shot.said?.good && !shot.done).length;
  const left = page.left ? say("enrol_left", { count: page.left, most: SHOTS }) : "";
  $("enrol-said").textContent = page.shots.length ? `${say("enrol_ready", { good, count: page.shots.length })} ${left}` : left;
  $("enrol-now").disabled = !good;
}

async function enrol(event) {
  event.preventDefault();
  const name = $("enrol-name").value.trim();
  const good = page.shots.filter((shot) => shot.said?.good && !shot.done);
  if (!name || !good.length) return;
  const others = [...new Set(good.map((shot) => shot.said.like).filter((like) => like !== null && like !== name))];
  if (others.length && !await sure("enrol_sure", name, say("enrol_sure_text", { name, others: listed(others) }))) return;
  $("enrol-now").disabled = true;
  let count = 0;
  await trying(async () => {
    for (const shot of good) {
      shot.id ??= [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
      const path = inGallery("identities", name, "templates", shot.id);
      await ask("PUT", path, { body: shot.file, type: shot.file.type || "application/octet-stream", limit: DESK });
      shot.done = true;
      count += 1;
    }
  });
  if (count === good.length) {
    for (const shot of page.shots) URL.revokeObjectURL(shot.url);
    page.shots = [];
    page.left = 0;
    $("enrol-name").value = "";
  }
  showShots();
  if (count) $("enrol-said").textContent = say("enrol_done", { name, count });
  await Promise.all([showPeople(), showEvents()]);
}

async function deskCamera() {
  if (page.stream) return stopCamera();
  try {
    page.stream = await openCamera($("desk-video"));
    await listCameras();
    $("desk-video").hidden = $("desk-shot").hidden = false;
    $("enrol-said").textContent = "";
  } catch (key) {
    $("enrol-said").textContent = `${say(key)}. ${say(`${key}_more`)}`;
  }
}

async function showPeople(more = false) {
  const asked = page.asked = {};
  await trying(async () => {
    const search = $("search").value.trim();
    const query = { limit: 50, ...(search ? { search } : {}), ...(more && page.next ? { cursor: page.next } : {}) };
    const found = await ask("GET", inGallery("identities"), { query });
    if (page.asked !== asked) return;
    fill("people", found.identities.map((each) => row([each.identity, String(each.templates), buttons(each.identity)])), { more });
    page.next = found.next;
    $("people-more").hidden = !found.next;
    const count = $("people").children.length + (found.next ? "+" : "");
    if (!more) $("people-said").textContent = say(search ? "people_found" : "people_count", { count });
  });
}

function buttons(name) {
  const verbs = ["show", "rename", "remove", ...(may("admin") ? ["erase"] : [])];
  return verbs.map((verb) => {
    const button = made("button", say(verb), { type: "button", "aria-label": say(`${verb}_of`, { name }) });
    button.addEventListener("click", () => change(verb, name));
    return button;
  });
}

function sure(verb, name, text) {
  const dialog = $("sure"), renames = verb === "rename";
  $("sure-heading").textContent = say(`${verb}_heading`, { name });
  $("sure-text").textContent = text;
  $("sure-yes").textContent = say(verb === "show" ? "close" : verb);
  $("sure-label").hidden = !renames;
  $("sure-input").required = renames;
  $("sure-input").value = renames ? name : "";
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((done) => dialog.addEventListener("close", () => done(dialog.returnValue === "yes"), { once: true }));
}

async function whoIs(name) {
  try {
    return (await ask("GET", inGallery("identities", name))).identity;
  } catch (error) {
    if (error.status === 404) return null;
    throw error;
  }
}

async function change(verb, name) {
  const path = inGallery("identities", name);
  await trying(async () => {
    if (verb === "show") {
      const found = await ask("GET", path);
      await sure(verb, name, `${say("count_templates", { count: found.templates })}: ${found.template_ids.join(", ")}`);
      return;
    }
    if (!await sure(verb, name, say(`${verb}_text`, { name }))) return;
    let said;
    if (verb === "rename") {
      const called = $("sure-input").value, other = await whoIs(called), merge = other !== null && other !== name;
      if (merge && !await sure("merge", other, say("merge_text", { name, other }))) return;
      const answer = await ask("PATCH", path, { body: JSON.stringify({ identity: called, merge }), type: "application/json", limit: DESK });
      said = say(merge ? "merged" : "renamed", { old: name, name: answer.identity });
    } else if (verb === "remove") {
      const answer = await ask("DELETE", path, { limit: DESK });
      said = say(answer.awaiting_erasure === null ? "removed_elsewhere" : "removed", { name, count: answer.awaiting_erasure });
    } else {
      const receipt = await ask("POST", `${path}/erase`, { limit: LONG });
      const counts = ["templates", "events", "pictures"].map((each) => say(`count_${each}`, { count: receipt[each] }));
      said = say("erased", { name, counts: listed(counts), at: new Date(receipt.erased_at).toLocaleString() });
    }
    await Promise.all([showPeople(), showEvents()]);
    $("people-said").textContent = said;
    $("search").focus();
  });
}

async function showEvents() {
  if (!page.settings.events_days) {
    $("events").replaceChildren();
    $("events-said").textContent = say("events_none");
    return;
  }
  try {
    const found = await ask("GET", inGallery("events"), { query: { limit: 50 } });
    const now = JSON.stringify([page.gallery, found]);
    if (page.events === now) return;  // whoever marks a line to copy it keeps the mark
    page.events = now;
    $("events-said").textContent = `${say("events_kept", { count: found.kept_days })} ${found.events.length ? "" : say("events_empty")}`;
    fill("events", found.events.map((each) => row([
      new Date(each.at).toLocaleString(), say(`event_${each.kind}`), each.identity ?? say("nobody"),
      each.decision ? say(`decision_${each.decision}`) : "–", number(each.score), expected(each.expected_false_alarms),
    ])));
  } catch (error) {
    page.events = null;
    $("events").replaceChildren();
    $("events-said").textContent = inShort(error);
  }
}

// The gallery.

async function showGallery() {
  await trying(async () => {
    const [found, thresholds] = await Promise.all([ask("GET", inGallery()), ask("GET", inGallery("thresholds"))]);
    const { info } = found;
    const facts = [
      ["identities", info.identities], ["templates", info.templates], ["awaiting", info.awaiting_erasure ?? "–"],
      ["index", info.index ?? "–"], ["encoder", info.encoder ?? "–"], ["decides", found.default_threshold?.says ?? say("no_default")],
    ];
    $("facts").replaceChildren(...facts.map(([key, value]) => {
      const fact = made("div");
      if (key === "decides") fact.className = "small";
      fact.append(made("dt", say(key)), made("dd", String(value)));
      return fact;
    }));
    fill("rates", thresholds.rates.map((each) => row([
      percent(each.fpir), number(each.threshold?.score ?? null), each.threshold?.says.replace(/^.*?, (?=by )/, "") ?? each.problem,
    ])));
    showCurve(thresholds.curve);
  });
}

function showCurve(points) {
  const svg = $("curve"), make = (tag, attributes, text) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    if (text !== undefined) element.textContent = text;
    return element;
  };
  const usable = points.filter((point) => point.expected_false_alarms > 0);
  if (usable.length < 2) {
    svg.replaceChildren(make("text", { x: 320, y: 60, "text-anchor": "middle" }, say("curve_none")));
    svg.setAttribute("aria-label", say("curve_none"));
    return;
  }
  const [left, right, top, bottom] = [90, 600, 20, 310];
  const low = usable[0].score, high = usable.at(-1).score;
  const least = Math.floor(Math.log10(usable[0].expected_false_alarms)), most = Math.ceil(Math.log10(usable.at(-1).expected_false_alarms));
  const x = (score) => left + (score - low) / (high - low) * (right - left);
  const y = (expected) => bottom - (Math.log10(expected) - least) / Math.max(1, most - least) * (bottom - top);
  const parts = [make("line", { class: "axis", x1: left, x2: right, y1: bottom, y2: bottom }), make("line", { class: "axis", x1: left, x2: left, y1: top, y2: bottom })];
  for (let power = least; power <= most; power += 1) parts.push(make("text", { x: left - 8, y: y(10 ** power) + 6, "text-anchor": "end" }, String(10 ** power)));
  for (const score of [low, (low + high) / 2, high]) parts.push(make("text", { x: x(score), y: bottom + 26, "text-anchor": "middle" }, number(score)));
  parts.push(make("text", { x: (left + right) / 2, y: 356, "text-anchor": "middle" }, say("score")));
  parts.push(make("polyline", { class: "line", points: usable.map((point) => `${x(point.score)},${y(point.expected_false_alarms)}`).join(" ") }));
  svg.replaceChildren(...parts);
  svg.setAttribute("aria-label", say("curve_label", {
    least: number(usable[0].expected_false_alarms), low: number(low), most: number(usable.at(-1).expected_false_alarms), high: number(high),
  }));
}

async function check() {
  $("check-said").textContent = say("checking");
  const found = await trying(() => ask("POST", inGallery("check"), { limit: LONG }));
  const faults = found?.faults ?? [];
  $("check-said").textContent = !found ? "" : faults.length ? say("check_faults", { count: faults.length, first: faults[0].says }) : say("check_well");
}

async function compact() {
  $("check-said").textContent = say("compacting");
  const done = await trying(() => ask("POST", inGallery("compact"), { limit: LONG }));
  $("check-said").textContent = done ? say("compacted", { count: done.erased }) : "";
  await showGallery();
}

// The page.

async function show() {
  const asked = location.hash.slice(1);
  const view = ["door", "desk", "gallery"].includes(asked) && (asked === "door" || may("desk")) ? asked : "door";
  if (view !== page.view) {
    stopCamera();
    idle();
  }
  page.view = view;
  for (const name of ["door", "desk", "gallery"]) $(name).hidden = name !== view;
  for (const link of document.querySelectorAll("nav a[data-view]")) {
    if (link.dataset.view === view) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = `${say(view)} – onek`;
  if (!page.gallery) return;
  if (view === "desk") await Promise.all([showPeople(), showEvents()]);
  if (view === "gallery") await showGallery();
}

async function watchEvents() {
  while (true) {
    await later(EVENTS);
    if (page.view === "desk" && page.gallery && page.settings.events_days && !document.hidden) await showEvents();
  }
}

async function begin() {
  page.settings = await ask("GET", "settings");
  const { galleries } = await ask("GET", "galleries");
  const names = galleries.map((each) => each.name);
  const before = localStorage.getItem(CHOSEN);
  page.gallery = names.includes(before) ? before : names[0];
  $("galleries").replaceChildren(...names.map((name) => new Option(name, name, false, name === page.gallery)));
  $("which").hidden = names.length < 2;
  $("token-button").hidden = !page.settings.tokens;
  $("challenge").hidden = !page.settings.challenge;
  for (const element of document.querySelectorAll("[data-role]")) element.hidden = !may(element.dataset.role);
  if (localStorage.getItem(WARNED) !== page.settings.warning) {
    $("warning-text").textContent = page.settings.warning;
    $("warning").showModal();
  }
  await show();
}

function listen() {
  addEventListener("hashchange", () => {
    show();
    $("main").focus();
  });
  $("camera").addEventListener("click", toggleCamera);
  for (const select of document.querySelectorAll("select.cameras")) select.addEventListener("change", chooseCamera);
  navigator.mediaDevices?.addEventListener("devicechange", camerasChanged);
  $("challenge").addEventListener("click", challenge);
  $("door-file").addEventListener("change", (event) => showPicture(event.target.files[0]));
  for (const kind of ["dragover", "dragleave", "drop"]) {
    addEventListener(kind, (event) => {
      event.preventDefault();
      $("stage").classList.toggle("over", kind === "dragover");
      const files = [...(event.dataTransfer?.files ?? [])];
      if (kind !== "drop" || !files.length) return;
      if (page.view === "desk") addShots(files);
      else if (page.view === "door") showPicture(files[0]);
    });
  }
  $("enrol").addEventListener("submit", enrol);
  $("enrol-files").addEventListener("change", async (event) => {
    await addShots(event.target.files);
    event.target.value = "";
  });
  $("desk-camera").addEventListener("click", deskCamera);
  $("desk-shot").addEventListener("click", async () => addShots([(await frameOf($("desk-video"))).data]));
  let typing;
  $("search").addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(() => showPeople(), 200);
  });
  $("people-more").addEventListener("click", () => showPeople(true));
  $("check").addEventListener("click", check);
  $("compact").addEventListener("click", compact);
  $("galleries").addEventListener("change", (event) => {
    page.gallery = event.target.value;
    localStorage.setItem(CHOSEN, page.gallery);
    show();
  });
  $("token-button").addEventListener("click", () => askForToken(false));
  $("token-form").addEventListener("submit", () => {
    sessionStorage.setItem(TOKEN, $("token-input").value.trim());
    $("token-input").value = "";
    untilThere(begin);
  });
  $("warning").addEventListener("close", () => localStorage.setItem(WARNED, page.settings.warning));
}

async function untilThere(work) {
  while (true) {
    try {
      const made = await work();
      trouble(null);
      return made;
    } catch (error) {
      if (error.status !== 401) trouble(error, "state_lost_more");
      if (!isLost(error)) return null;
    }
    await later(AGAIN);
  }
}

async function start() {
  page.texts = await untilThere(async () => {
    const { answer, said } = await fetched("texts.json", SOON);
    if (!answer.ok) throw new TypeError(answer.status);
    return said;
  });
  for (const element of document.querySelectorAll("[data-text]")) element.textContent = say(element.dataset.text);
  for (const element of document.querySelectorAll("[data-label]")) element.setAttribute("aria-label", say(element.dataset.label));
  listen();
  idle();
  show();
  watchEvents();
  await untilThere(begin);
}

start();
