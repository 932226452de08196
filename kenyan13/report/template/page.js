"use strict";
// Column headings sort their table; images enlarge; the heading of the page that the menu leads to gets the focus.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  if (body.rows.length < 3) continue;
  table.tHead.rows[0].querySelectorAll("th").forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => sort(table, body, head, column));
  });
}

function sort(table, body, head, column) {
  const numeric = head.classList.contains("number");
  const before = head.getAttribute("aria-sort");
  const down = before ? before === "ascending" : numeric; // numbers begin with the highest
  for (const other of head.parentNode.children) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
  const key = row => row.cells[column].dataset.key;
  const number = text => text === "" ? NaN : Number(text);
  const compare = (one, other) => {
    const [a, b] = [key(one), key(other)];
    if (a === "" || b === "") return (a === "") - (b === ""); // what is missing stays at the end
    const [x, y] = [number(a), number(b)];
    const order = isNaN(x) || isNaN(y) ? a.localeCompare(b, undefined, { numeric: true }) : x - y;
    return down ? -order : order;
  };
  body.append(...[...body.rows].sort(compare));
}

const dialog = document.querySelector("dialog");
document.addEventListener("click", event => {
  const button = event.target.closest(".enlarge");
  if (button) {
    dialog.querySelector("div").replaceChildren(button.firstElementChild.cloneNode());
    dialog.showModal();
  } else if (event.target === dialog) dialog.close(); // beside the image
});

function arrive() {
  const article = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  for (const link of document.querySelectorAll("nav a")) {
    if (link.hash === (location.hash || "#overview")) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const shown = article?.tagName === "ARTICLE" ? article : document.getElementById("overview");
  document.title = `${shown.querySelector("h2").textContent} - ${document.querySelector("h1").textContent}`;
  if (article && article.tagName === "ARTICLE") {
    scrollTo(0, 0);
    article.querySelector("h2").focus({ preventScroll: true });
  }
}
addEventListener("hashchange", arrive);
arrive();
// Printed, what is folded away is there, but for the last part: all settings of a run.
addEventListener("beforeprint", () => {
  for (const one of document.querySelectorAll("details:not(:last-of-type)")) one.open = true;
});
