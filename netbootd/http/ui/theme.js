// Light or dark before the first paint: a plain script, because modules run after it.
"use strict";

(() => {
  const KEY = "netbootd-theme";
  const NEXT = { auto: "light", light: "dark", dark: "auto" };

  /** @returns {string} what was chosen before, "auto" where nothing was or nothing may be kept */
  function chosen() {
    try {
      const kept = localStorage.getItem(KEY);
      return kept in NEXT ? kept : "auto";
    } catch {
      return "auto";
    }
  }

  /** @param {string} theme */
  function put(theme) {
    document.documentElement.dataset.theme = theme;
    const button = document.getElementById("theme");
    if (button) button.textContent = `Theme: ${theme}`;
  }

  put(chosen());
  document.addEventListener("DOMContentLoaded", () => {
    put(chosen());
    document.getElementById("theme").addEventListener("click", () => {
      const theme = NEXT[document.documentElement.dataset.theme];
      try {
        localStorage.setItem(KEY, theme);
      } catch {
        // private windows of some browsers keep nothing; the choice then lasts as long as the page
      }
      put(theme);
    });
  });
})();
