// Lets WSGI App Directory follow the name while nobody has written a directory of their own.
"use strict";

for (const field of document.querySelectorAll("[data-follows]")) {
  const name = document.getElementById(field.dataset.follows);

  const follow = () => {
    const path = name.value.trim().replace(/\/+$/, "");
    const rest = path === "/csp" || path.startsWith("/csp/") ? path.slice(4) : path;
    return path.startsWith("/") || name.value.trim() === "/" ? field.dataset.root + rest : "";
  };

  let last = name.value ? follow() : "";
  name.addEventListener("input", () => {
    if (field.value !== "" && field.value !== last) return;
    last = follow();
    field.value = last;
  });
}
