// What a page does beyond being read: search, the language switch that keeps
// the place, the theme, and copying. All of it can be done without.
"use strict";

const root = document.documentElement;
const chinese = root.lang.startsWith("zh");

// The other language opens at the last text that begins above the top of the
// window, or where a link to it would scroll to.
const languageSwitch = document.querySelector(".switch");
function place() {
  const top = parseFloat(getComputedStyle(root).scrollPaddingTop) + 1;
  let last = "";
  for (const element of document.querySelectorAll("main [id]")) {
    const box = element.getBoundingClientRect();
    if (box.height > 0 && box.top <= top) last = "#" + element.id;
  }
  return scrollY === 0 ? "" : last;
}
for (const moment of ["pointerdown", "keydown", "click"]) {
  languageSwitch.addEventListener(moment, () => { languageSwitch.hash = place(); });
}

const theme = document.getElementById("theme");
theme.value = localStorage.theme || "";
theme.addEventListener("change", () => {
  localStorage.theme = theme.value;
  root.dataset.theme = theme.value;
});

for (const figure of document.querySelectorAll("figure.code")) {
  if (figure.querySelector("pre.output")) continue;
  const button = document.createElement("button");
  button.type = "button";
  button.className = "copy";
  button.textContent = root.dataset.copy;
  button.addEventListener("click", async () => {
    const code = [...figure.querySelectorAll("pre")].map((pre) => pre.textContent).join("");
    await navigator.clipboard.writeText(code);
    button.textContent = root.dataset.copied;
    setTimeout(() => { button.textContent = root.dataset.copy; }, 2000);
  });
  figure.append(button);
}

// A link to a folded text opens it.
function unfold() {
  const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!target) return;
  for (let at = target; at; at = at.parentElement) {
    if (at.tagName === "DETAILS") at.open = true;
  }
  target.scrollIntoView();
}
addEventListener("hashchange", unfold);
unfold();

// The menu closes when something else is used.
const menu = document.querySelector(".menu");
document.addEventListener("click", (event) => {
  if (!menu.contains(event.target)) menu.open = false;
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  if (menu.open) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
  results.replaceChildren();
});

const search = document.getElementById("search");
const results = document.getElementById("results");
const MOST = 20;
const AROUND = 40;

function loadTexts() {
  if (loadTexts.done) return loadTexts.done;
  loadTexts.done = new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = "../search.js";
    script.onload = resolve;
    script.onerror = reject;
    document.head.append(script);
  });
  return loadTexts.done;
}

// A text is found by either of its languages and shown in the page's own.
function find(words) {
  const found = [];
  for (const [page, anchor, en, zh, enHeading, zhHeading, enText, zhText] of window.courseTexts) {
    const all = [en, zh, enHeading, zhHeading, enText, zhText].join("\n").toLowerCase();
    if (!words.every((word) => all.includes(word))) continue;
    // A word in a title or a heading weighs more than one in a text.
    const heads = [page, en, zh, enHeading, zhHeading].join("\n").toLowerCase();
    const weight = words.filter((word) => heads.includes(word)).length + (anchor === "" ? 1 : 0);
    const title = chinese ? zh : en;
    const heading = chinese ? zhHeading : enHeading;
    found.push({ weight, url: page + ".html" + (anchor && "#" + anchor), title, heading, text: chinese ? zhText : enText });
  }
  return found.sort((a, b) => b.weight - a.weight).slice(0, MOST);
}

function excerpt(text, words) {
  const lower = text.toLowerCase();
  const word = words.find((each) => lower.includes(each));
  const at = word ? lower.indexOf(word) : 0;
  const length = word ? word.length : 0;
  const from = Math.max(0, at - AROUND);
  const line = document.createElement("span");
  const mark = document.createElement("mark");
  mark.textContent = text.slice(at, at + length);
  line.append((from > 0 ? "…" : "") + text.slice(from, at), mark, text.slice(at + length, at + length + 2 * AROUND));
  if (at + length + 2 * AROUND < text.length) line.append("…");
  return line;
}

async function showResults() {
  const words = search.value.toLowerCase().split(/\s+/).filter((word) => word);
  await loadTexts();
  if (words.length === 0) return results.replaceChildren();
  const links = find(words).map(({ url, title, heading, text }) => {
    const link = document.createElement("a");
    const name = document.createElement("b");
    link.href = url;
    name.textContent = heading ? title + " · " + heading : title;
    link.append(name, excerpt(text, words));
    return link;
  });
  if (links.length === 0) {
    const none = document.createElement("p");
    none.textContent = root.dataset.none;
    links.push(none);
  }
  results.replaceChildren(...links);
}
search.addEventListener("focus", loadTexts);
search.addEventListener("input", showResults);
results.addEventListener("click", (event) => {
  if (event.target.closest("a")) results.replaceChildren();
});
