// Follows the log while somebody looks: asks for what came since the last position and adds it below.
"use strict";

{
  const EVERY = 1500;
  const MOST = 5000;
  const log = document.querySelector("[data-follow]");
  const box = document.getElementById("follow");
  const empty = document.querySelector(".log-empty");
  let timer = 0;

  const atEnd = () => log.scrollHeight - log.scrollTop - log.clientHeight < 40;
  const toEnd = () => { log.scrollTop = log.scrollHeight; };

  const plan = () => {
    clearTimeout(timer);
    if (!document.hidden && box.checked) timer = setTimeout(ask, EVERY);
  };

  const add = (text) => {
    const follow = atEnd();
    log.insertAdjacentHTML("beforeend", text);
    while (log.childElementCount > MOST) log.firstElementChild.remove();
    if (empty && log.childElementCount) empty.hidden = true;
    if (follow) toEnd();
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
    toEnd();
    plan();
  }
}
