// Adds rows for environment variables as they are needed.
"use strict";

for (const list of document.querySelectorAll("[data-env]")) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "btn";
  button.textContent = "Add a variable";

  button.addEventListener("click", () => {
    const rows = list.querySelectorAll(".env-row");
    const row = rows[rows.length - 1].cloneNode(true);
    row.classList.remove("is-secret");
    for (const input of row.querySelectorAll("input[type=text], textarea")) {
      input.value = "";
      input.placeholder = "";
      input.setAttribute("aria-label", input.getAttribute("aria-label").replace(/\d+$/, rows.length + 1));
    }
    const secret = row.querySelector("input[type=checkbox]");
    secret.checked = false;
    secret.value = String(rows.length);
    list.insertBefore(row, button);
    row.querySelector("input").focus();
  });

  list.append(button);
}
