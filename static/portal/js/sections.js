// Marks in the sections' navigation where the reader is, and which sections have a field to correct.
"use strict";

{
  const links = [...document.querySelectorAll(".section-nav a")];
  const sections = links.map((link) => document.getElementById(link.hash.slice(1)));

  sections.forEach((section, index) => {
    if (section?.querySelector(".is-invalid")) {
      links[index].classList.add("wrong");
      links[index].append(Object.assign(document.createElement("span"), { className: "visually-hidden", textContent: " (needs another look)" }));
    }
  });

  const mark = () => {
    const seen = sections.filter((section) => section && section.offsetParent && section.getBoundingClientRect().top < 160);
    const here = sections.indexOf(seen[seen.length - 1] || sections[0]);
    links.forEach((link, index) => link.classList.toggle("here", index === here));
  };

  document.addEventListener("scroll", mark, { passive: true });
  mark();
}
