// A watch-list that only this browser knows: a star beside each asset, and links to the starred.
const KEY = "watchlist";
const section = document.getElementById("watchlist");

function read() {
  try {
    const list = JSON.parse(localStorage.getItem(KEY));
    return list && typeof list === "object" && !Array.isArray(list) ? list : {};
  } catch { return {}; }
}

function toggle(slug, name) {
  const list = read();
  if (Object.hasOwn(list, slug)) delete list[slug]; else list[slug] = name;
  try { localStorage.setItem(KEY, JSON.stringify(list)); } catch { return; }
  show();
}

function star(cell, list) {
  let button = cell.querySelector("button");
  if (!button) {
    button = document.createElement("button");
    button.type = "button";
    button.className = "star";
    button.setAttribute("aria-label", `Watch ${cell.dataset.name}`);
    button.addEventListener("click", () => toggle(cell.dataset.slug, cell.dataset.name));
    cell.append(button);
  }
  const watched = Object.hasOwn(list, cell.dataset.slug);
  button.setAttribute("aria-pressed", String(watched));
  button.textContent = watched ? "★" : "☆";
}

// The time that the page shows, as every link of the page keeps it.
function moment() {
  const given = [...new URLSearchParams(location.search)];
  const kept = given.filter(([name, value]) => value && /^(as_of|known_at)(_time)?$/.test(name));
  return kept.length ? `?${new URLSearchParams(kept)}` : "";
}

function show() {
  const list = read();
  document.querySelectorAll("[data-slug]").forEach((cell) => star(cell, list));
  if (!section) return;
  section.hidden = Object.keys(list).length === 0;
  section.querySelector("ul").replaceChildren(...Object.entries(list).map(([slug, name]) => {
    const item = document.createElement("li");
    const link = document.createElement("a");
    link.href = `${location.pathname}/assets/${encodeURIComponent(slug)}${moment()}`;
    link.textContent = name;
    item.append(link);
    return item;
  }));
}

show();
addEventListener("storage", show);
document.addEventListener("swapped", show);
