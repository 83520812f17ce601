// Asks now and then whether the page is still the newest, and swaps the parts that changed.
// The server answers from memory: with 304 (the browser's own copy), or with a page that is new.
// Loaded before the other scripts, so that it sees the parts as the server sent them.
const seconds = Number(document.body.dataset.refresh);
const connection = document.getElementById("connection");
const error = Number(document.querySelector("[data-error]")?.dataset.error ?? 0);
const sent = new Map([...document.querySelectorAll("[data-live]")].map((part) => [part.id, part.outerHTML]));
let etag = null;
let lost = false;

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

async function check() {
  if (document.hidden) return;
  try {
    const response = await fetch(location.href, { cache: "no-cache", headers: { Accept: "text/html" } });
    if ((error && response.ok) || response.status === 401) return location.reload();
    lost = !response.ok;
    if (lost) return say(`The server cannot answer now (${response.status}): what you see may be out of date.`);
    const fresh = response.headers.get("ETag");
    if (fresh !== etag) swap(await response.text());
    etag = fresh;
    say("");
  } catch {
    lost = true;
    say("Connection lost: what you see may be out of date. Trying again.");
  }
}

// An error in the address, and the form for a key, are left alone.
if (!error || error === 429 || error >= 500) {
  setInterval(check, seconds * 1000);
  document.addEventListener("visibilitychange", check);
  addEventListener("online", check);
}
