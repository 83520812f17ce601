// The theme: as the system has it, until the reader chooses one. Loaded before the page is painted.
(() => {
  const root = document.documentElement;
  const chosen = () => { try { return localStorage.getItem("theme"); } catch { return null; } };
  const system = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (chosen() ?? (system.matches ? "dark" : "light")) === "dark";

  function apply() {
    root.dataset.theme = isDark() ? "dark" : "light";
    const button = document.getElementById("theme");
    if (button) {
      button.hidden = false;
      button.textContent = isDark() ? "Light theme" : "Dark theme";
    }
  }

  apply();
  system.addEventListener("change", apply);
  addEventListener("storage", apply);
  addEventListener("DOMContentLoaded", () => {
    apply();
    document.getElementById("theme")?.addEventListener("click", () => {
      try { localStorage.setItem("theme", isDark() ? "light" : "dark"); } catch { return; }
      apply();
    });
  });
})();
