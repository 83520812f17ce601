// Asks now and then whether the page is still the newest, and swaps the parts that changed.
// The server answers from memory: with 304 (the browser's own copy), or with a page that is new.
// Loaded before the other scripts, so that it sees the parts as the server sent them.
const TIMEOUT_MS = 30_000;
const MOST_DOUBLINGS = 5;
const seconds = Number(document.body.dataset.refresh);
const connection = document.getElementById("connection");
const error = Number(document.querySelector("[data-error]")?.dataset.error ?? 0);
const sent = new Map([...document.querySelectorAll("[data-live]")].map((part) => [part.id, part.outerHTML]));
let etag = null;
let lost = false;
let checking = false;
let failures = 0;
let timer;

function say(text) {
  if (connection.textContent !== text) connection.textContent = text;
  document.body.classList.toggle("lost", lost);
}

// What has the focus is found again by its id, or by where it leads.
function findFocus(part) {
  const active = document.activeElement;
  if (!active || !part.contains(active)) return () => {};
  const href = active.getAttribute("href");
  const slug = active.closest("[data-slug]")?.dataset.slug;
  const same = active.id ? `#${CSS.escape(active.id)}`
    : href ? `a[href="${CSS.escape(href)}"]`
    : slug ? `[data-slug="${CSS.escape(slug)}"] button`
    : "[tabindex]";
  const place = [...part.querySelectorAll(same)].indexOf(active);
  return () => part.querySelectorAll(same)[Math.max(place, 0)]?.focus({ preventScroll: true });
}

function swapPart(part, fresh) {
  const open = [...part.querySelectorAll("details[id][open]")].map((each) => each.id);
  const scrolled = [...part.querySelectorAll(".scroll, .plot")].map((each) => [each.scrollLeft, each.scrollTop]);
  const focusAgain = findFocus(part);
  part.replaceChildren(...fresh.childNodes);
  for (const id of open) document.getElementById(id)?.setAttribute("open", "");
  part.querySelectorAll(".scroll, .plot").forEach((each, place) => {
    [each.scrollLeft, each.scrollTop] = scrolled[place] ?? [0, 0];
  });
  document.dispatchEvent(new CustomEvent("swapped"));
  focusAgain();
}

function swap(text) {
  const page = new DOMParser().parseFromString(text, "text/html");
  for (const part of document.querySelectorAll("[data-live]")) {
    const fresh = page.getElementById(part.id);
    if (!fresh || fresh.outerHTML === sent.get(part.id)) continue;
    sent.set(part.id, fresh.outerHTML);
    swapPart(part, fresh);
  }
}

// The server is too busy or has an error, and may answer later.
function isTemporary(status) {
  return status === 429 || status >= 500;
}

// Returns whether the server answered with a page.
async function check() {
  try {
    const response = await fetch(location.href, {
      cache: "no-cache", headers: { Accept: "text/html" }, signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    lost = isTemporary(response.status);
    if (lost) {
      say(`The server cannot answer now (${response.status}): what you see may be out of date.`);
      return false;
    }
    if (error || !response.ok) {
      location.reload();
      return true;
    }
    const fresh = response.headers.get("ETag");
    if (fresh !== etag) swap(await response.text());
    etag = fresh;
    say("");
    return true;
  } catch {
    lost = true;
    say("Connection lost: what you see may be out of date. Trying again.");
    return false;
  }
}

// One check at a time; the next is scheduled after it. Each failure in a row doubles the pause.
async function run() {
  if (checking) return;
  checking = true;
  clearTimeout(timer);
  if (!document.hidden) failures = await check() ? 0 : failures + 1;
  checking = false;
  timer = setTimeout(run, seconds * 1000 * 2 ** Math.min(failures, MOST_DOUBLINGS));
}

// An error in the address, and the form for a key, are left alone.
if (!error || isTemporary(error)) {
  failures = error ? 1 : 0;
  timer = setTimeout(run, seconds * 1000 * 2 ** failures);
  document.addEventListener("visibilitychange", () => { if (!failures) run(); });
  addEventListener("online", run);
}
