// Shows the preview and says where a text is longer than search engines display.
const TITLE_MAX = 60;
const DESCRIPTION_MAX = 155;

const title = document.getElementById("title");
const description = document.getElementById("description");
const preview = document.getElementById("preview");
const advice = document.getElementById("advice");

function cut(text, max) {
  return text.length > max ? text.slice(0, max - 1) + "…" : text;
}

function tips() {
  const found = [];
  if (title.value.length > TITLE_MAX) found.push(`The title is cut after ${TITLE_MAX} characters.`);
  if (description.value.length > DESCRIPTION_MAX) found.push(`The description is cut after ${DESCRIPTION_MAX} characters.`);
  return found;
}

function show() {
  preview.querySelector("h2").textContent = cut(title.value, TITLE_MAX);
  preview.querySelector("p").textContent = cut(description.value, DESCRIPTION_MAX);
  advice.replaceChildren(...tips().map((tip) => Object.assign(document.createElement("li"), { textContent: tip })));
}

title.addEventListener("input", show);
description.addEventListener("input", show);
show();
