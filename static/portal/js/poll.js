// Keeps a part of the page fresh while somebody looks: [data-poll] is the address of the part, [data-every] seconds.
"use strict";

for (const part of document.querySelectorAll("[data-poll]")) {
  const every = Number(part.dataset.every || 5) * 1000;
  let shown = null;
  let timer = 0;

  const plan = () => {
    clearTimeout(timer);
    if (!document.hidden) timer = setTimeout(refresh, every);
  };

  const busy = () => {
    const selection = document.getSelection();
    return selection && !selection.isCollapsed && part.contains(selection.anchorNode);
  };

  const swap = (text) => {
    const focused = part.contains(document.activeElement) ? document.activeElement.id : "";
    const scrolled = [...part.querySelectorAll("pre, .log")].map((box) => box.scrollTop);
    part.innerHTML = text;
    part.querySelectorAll("pre, .log").forEach((box, index) => { box.scrollTop = scrolled[index] || 0; });
    if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
  };

  const refresh = async () => {
    try {
      const response = await fetch(part.dataset.poll, { credentials: "same-origin" });
      if (response.redirected || response.status === 404) return location.reload();
      const text = response.ok ? await response.text() : shown;
      // The token of a form differs in each answer: it says nothing about what is shown.
      const plain = text && text.replace(/name="csrfmiddlewaretoken" value="[^"]*"/g, "");
      const keyboard = part.contains(document.activeElement) && !document.activeElement.id;
      if (plain && plain !== shown && !busy() && !keyboard) {
        swap(text);
        shown = plain;
      }
    } catch {
      // Stoa is being restarted: the next time will tell.
    }
    plan();
  };

  document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(timer) : refresh()));
  plan();
}
