// A watch-list that only this browser knows: a star beside each asset, and links to the starred.
const KEY = "watchlist";
const section = document.getElementById("watchlist");

function read() {
  try { return JSON.parse(localStorage.getItem(KEY)) ?? {}; } catch { return {}; }
}

function toggle(slug, name) {
  const list = read();
  if (slug in list) delete list[slug]; else list[slug] = name;
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
  const watched = cell.dataset.slug in list;
  button.setAttribute("aria-pressed", String(watched));
  button.textContent = watched ? "★" : "☆";
}

function show() {
  const list = read();
  document.querySelectorAll("[data-slug]").forEach((cell) => star(cell, list));
  if (!section) return;
  section.hidden = Object.keys(list).length === 0;
  section.querySelector("ul").replaceChildren(...Object.entries(list).map(([slug, name]) => {
    const item = document.createElement("li");
    const link = document.createElement("a");
    link.href = `${location.pathname}/assets/${encodeURIComponent(slug)}`;
    link.textContent = name;
    item.append(link);
    return item;
  }));
}

show();
addEventListener("storage", show);
document.addEventListener("swapped", show);
