// Pages work without this; it opens dialogs as dialogs, and says when the server is silent.
"use strict";

document.addEventListener("htmx:afterSwap", (event) => {
  const dialog = event.target.querySelector?.("dialog");
  if (event.target.id === "dialog" && dialog) {
    dialog.removeAttribute("open");
    dialog.showModal();
  }
});

document.addEventListener("click", (event) => {
  if (event.target.matches("dialog .cancel")) {
    event.preventDefault();
    event.target.closest("dialog").close();
  }
});

const stale = (isStale) => { document.getElementById("stale").hidden = !isStale; };
document.addEventListener("htmx:sendError", () => stale(true));
document.addEventListener("htmx:responseError", () => stale(true));
document.addEventListener("htmx:afterOnLoad", () => stale(false));
