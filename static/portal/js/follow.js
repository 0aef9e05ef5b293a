// Follows the log while somebody looks: asks for what came since the last position and adds it below.
"use strict";

{
  const EVERY = 1500;
  const MOST = 5000;
  const log = document.querySelector("[data-follow]");
  const view = log && log.parentElement;
  const box = document.getElementById("follow");
  const empty = document.querySelector(".log-empty");
  let timer = 0;

  // The view begins at its end, and counts from there: 0 is the newest line, what is above it is less.
  const atEnd = () => view.scrollTop > -40;
  const above = () => view.scrollHeight + view.scrollTop;

  const plan = () => {
    clearTimeout(timer);
    if (!document.hidden && box.checked) timer = setTimeout(ask, EVERY);
  };

  const add = (text) => {
    const place = atEnd() ? null : above();
    log.insertAdjacentHTML("beforeend", text);
    while (log.childElementCount > MOST) log.firstElementChild.remove();
    if (empty && log.childElementCount) empty.hidden = true;
    view.scrollTop = place === null ? 0 : place - view.scrollHeight;
  };

  const ask = async () => {
    try {
      const response = await fetch(`${log.dataset.follow}&after=${encodeURIComponent(log.dataset.position)}`);
      if (response.redirected) return location.reload();
      if (response.ok) {
        if (response.headers.get("X-Log-Truncated") === "1") log.replaceChildren();
        add((await response.text()).trim());
        log.dataset.position = response.headers.get("X-Log-Position") || log.dataset.position;
      }
    } catch {
      // Stoa is being restarted: the next time will tell.
    }
    plan();
  };

  if (log && box) {
    box.closest("label").hidden = false;
    box.addEventListener("change", () => (box.checked ? ask() : clearTimeout(timer)));
    document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(timer) : box.checked && ask()));
    plan();
  }
}
