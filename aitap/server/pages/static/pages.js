"use strict";
// What makes the pages quicker to use. Each works without it: every address here is a page of its own.

const pieces = new Map([["day", { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", hourCycle: "h23" }],
  ["clock", { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" }],
  ["full", { dateStyle: "medium", timeStyle: "long", hourCycle: "h23" }]]);

// Times in the reader's own zone; what came from the server stays as the title.
function localTimes(root) {
  const year = new Date().getFullYear();
  for (const time of root.querySelectorAll("time[data-form]")) {
    const at = new Date(time.dateTime);
    const form = { ...pieces.get(time.dataset.form) };
    if (Number.isNaN(at.getTime())) continue;
    if (time.dataset.form === "day" && at.getFullYear() !== year) form.year = "numeric";
    time.textContent = new Intl.DateTimeFormat(undefined, form).format(at);
  }
}

async function page(address, headers = {}) {
  const answer = await fetch(address, { headers, credentials: "same-origin" });
  if (answer.status === 304) return null;
  if (!answer.ok || answer.redirected) throw new Error(`${answer.status}`);
  return new DOMParser().parseFromString(await answer.text(), "text/html");
}

// A link to more of the same is replaced by what is there.
async function load(link) {
  if (link.dataset.busy) return;
  link.dataset.busy = "yes";
  const place = link.closest(".more");
  try {
    const found = (await page(link.href)).querySelector("[data-piece]");
    localTimes(found);
    const hadFocus = document.activeElement === link;
    const first = found.firstElementChild;
    const nodes = [...found.childNodes].map((node) => document.adoptNode(node));
    place.replaceWith(...nodes);
    nodes.forEach((node) => node.nodeType === 1 && watch(node));
    if (hadFocus && first) { first.tabIndex = -1; first.focus({ preventScroll: true }); }
  } catch {
    location.assign(link.href);
  }
}

const near = "IntersectionObserver" in window && new IntersectionObserver((entries) => {
  for (const entry of entries) if (entry.isIntersecting) { near.unobserve(entry.target); load(entry.target); }
}, { rootMargin: "600px" });

// Links that load when one scrolls to them, and what opens itself when it is opened.
function watch(root) {
  const links = [...root.querySelectorAll("a[data-load]")];
  if (root.matches("a[data-load]")) links.push(root);
  for (const link of links) {
    link.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      load(link);
    });
    if (near && !link.closest("details:not([open])")) near.observe(link);
  }
  const folded = [...root.querySelectorAll("details[data-fill]")];
  if (root.matches("details[data-fill]")) folded.push(root);
  for (const details of folded) {
    details.addEventListener("toggle", () => {
      const link = details.open && details.querySelector("a[data-load]");
      if (link) load(link);
    });
  }
}

function forms(root) {
  for (const form of root.querySelectorAll("form")) {
    form.addEventListener("submit", (event) => {
      if (form.dataset.ask && !confirm(form.dataset.ask)) { event.preventDefault(); return; }
      if (form.method !== "get") return;
      // An address tells what was chosen, and no more.
      for (const field of form.elements) if (field.name && !field.value) field.disabled = true;
      setTimeout(() => { for (const field of form.elements) field.disabled = false; });
    });
    if ("submitOnChange" in form.dataset) {
      // Who chooses with the keyboard passes other choices on the way: for them there is the button.
      let byPointer = false;
      form.addEventListener("pointerdown", () => { byPointer = true; });
      form.addEventListener("keydown", () => { byPointer = false; });
      form.addEventListener("change", (event) => { if (byPointer && event.target.matches("select")) form.requestSubmit(); });
    }
  }
}

// The list follows what is recorded, while somebody looks and has no menu open in it.
function follow(main) {
  let mark = main.dataset.live;
  const again = () => setTimeout(refresh, 4000);
  async function refresh() {
    const busy = document.hidden || main.contains(document.activeElement) && document.activeElement.matches("input, select");
    try {
      const found = busy ? null : await page(location.href, { "If-None-Match": `"${mark}"` });
      const next = found && found.querySelector("table.list tbody");
      const old = main.querySelector("table.list tbody");
      if (next && old) {
        mark = found.querySelector("main").dataset.live;
        const at = document.activeElement && old.contains(document.activeElement) && document.activeElement.getAttribute("href");
        localTimes(next);
        old.replaceWith(document.adoptNode(next));
        if (at) main.querySelector(`a[href="${CSS.escape(at)}"]`)?.focus({ preventScroll: true });
      } else if (next || (found && old)) { location.reload(); return; }
    } catch { /* the server rests: the list stays as it is */ }
    again();
  }
  again();
}

const main = document.getElementById("main");
localTimes(document);
forms(document);
watch(main);
if (main.dataset.live) follow(main);
