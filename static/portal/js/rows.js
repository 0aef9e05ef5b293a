// Adds blank rows to a list of rows as they are needed.
"use strict";

for (const list of document.querySelectorAll("[data-rows]")) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "btn";
  button.textContent = "Add a row";

  button.addEventListener("click", () => {
    const rows = list.querySelectorAll(".rows-row");
    const row = rows[rows.length - 1].cloneNode(true);
    for (const input of row.querySelectorAll("input")) {
      input.value = "";
      input.setAttribute("aria-label", input.getAttribute("aria-label").replace(/\d+$/, rows.length + 1));
    }
    list.insertBefore(row, button);
    row.querySelector("input").focus();
  });

  list.append(button);
}
