// Asks now and then whether the page is still the newest, and swaps the parts that changed.
// The server answers from memory: with 304 (the browser's own copy), or with a page that is new.
const seconds = Number(document.body.dataset.refresh);
const connection = document.getElementById("connection");
const isError = document.querySelector("[data-error]");
let etag = null;
let lost = false;

function say(text) {
  if (connection.textContent !== text) connection.textContent = text;
}

// What has the focus is found again by its id, or by where it leads.
function focusAgain(part) {
  const active = document.activeElement;
  if (!active || !part.contains(active)) return () => {};
  const href = active.getAttribute("href");
  const same = active.id ? `#${CSS.escape(active.id)}`
    : href ? `a[href="${CSS.escape(href)}"]`
    : active.closest("[data-slug]") ? `[data-slug="${CSS.escape(active.closest("[data-slug]").dataset.slug)}"] button`
    : null;
  const place = same ? [...part.querySelectorAll(same)].indexOf(active) : 0;
  return (fresh) => (same ? fresh.querySelectorAll(same)[Math.max(place, 0)] : fresh.querySelector("[tabindex]"))
    ?.focus({ preventScroll: true });
}

function swap(text) {
  const page = new DOMParser().parseFromString(text, "text/html");
  for (const part of document.querySelectorAll("[data-live]")) {
    const fresh = page.getElementById(part.id);
    if (!fresh || fresh.outerHTML === part.dataset.source) continue;
    const source = fresh.outerHTML;
    const open = [...part.querySelectorAll("details[id][open]")].map((each) => each.id);
    const focus = focusAgain(part);
    const scrolled = [...part.querySelectorAll(".scroll")].map((each) => each.scrollLeft);
    part.replaceChildren(...fresh.childNodes);
    part.dataset.source = source;
    for (const id of open) document.getElementById(id)?.setAttribute("open", "");
    part.querySelectorAll(".scroll").forEach((each, place) => { each.scrollLeft = scrolled[place] ?? 0; });
    document.dispatchEvent(new CustomEvent("swapped"));
    focus(part);
  }
}

async function check() {
  if (document.hidden) return;
  try {
    const response = await fetch(location.href, { cache: "no-cache", headers: { Accept: "text/html" } });
    if (isError) {
      if (response.ok) location.reload();
      return;
    }
    if (response.status === 401) return location.reload();
    if (!response.ok) throw new Error(response.status);
    const fresh = response.headers.get("ETag");
    if (fresh !== etag) swap(await response.text());
    etag = fresh;
    say(lost ? "Connected again." : "");
    lost = false;
  } catch {
    lost = true;
    say("Connection lost: what you see may be out of date. Trying again.");
  }
  document.body.classList.toggle("lost", lost);
}

if (document.querySelector("[data-live]")) {
  setInterval(check, seconds * 1000);
  document.addEventListener("visibilitychange", check);
  addEventListener("online", check);
}
