// Shows the preview and says where a text is longer, or shorter, than search engines like it.
const TITLE = { name: "title", min: 15, max: 60 };
const DESCRIPTION = { name: "description", min: 70, max: 155 };

const title = document.getElementById("title");
const description = document.getElementById("description");
const preview = document.getElementById("preview");
const advice = document.getElementById("advice");

function cut(text, max) {
  return text.length > max ? text.slice(0, max - 1) + "…" : text;
}

function tip(text, { name, min, max }) {
  if (text.length > max) return `The ${name} is cut after ${max} characters; it has ${text.length}.`;
  if (text.length < min) return `The ${name} is short: ${min} characters or more tell a searcher enough.`;
  return null;
}

function tips() {
  const found = [tip(title.value, TITLE), tip(description.value, DESCRIPTION)];
  if (description.value.trim() === title.value.trim()) found.push("The description only repeats the title.");
  return found.filter(Boolean);
}

function show() {
  preview.querySelector("h2").textContent = cut(title.value, TITLE.max);
  preview.querySelector("p").textContent = cut(description.value, DESCRIPTION.max);
  advice.replaceChildren(...tips().map((text) => Object.assign(document.createElement("li"), { textContent: text })));
}

title.addEventListener("input", show);
description.addEventListener("input", show);
show();
