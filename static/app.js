/* Nothing here is needed to get anything done: each part only makes an existing page easier. */
"use strict";

/** Put the cursor on the list of problems, so that it is read first. */
function focusSummary() {
  document.querySelector("[data-summary]")?.focus();
}

/** A second click on a button that sends a form does nothing until the page is shown again. */
function guardForms() {
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.method !== "post" || event.defaultPrevented) return;
    if (form.dataset.sent) {
      event.preventDefault();
      return;
    }
    form.dataset.sent = "yes";
    event.submitter?.setAttribute("aria-disabled", "true");
  });
  // The back button can bring the page back as it was left, guard included.
  window.addEventListener("pageshow", () => {
    for (const form of document.querySelectorAll("form[data-sent]")) {
      delete form.dataset.sent;
      for (const button of form.querySelectorAll("[aria-disabled]")) button.removeAttribute("aria-disabled");
    }
  });
}

/** A button beside each password that shows what was typed. Without script there is none. */
function offerToShow(input) {
  const row = document.createElement("div");
  const button = document.createElement("button");
  row.className = "reveal";
  button.type = "button";
  button.className = "btn quiet";
  // The words are the page's, in its language.
  const { show, hide, showLabel, hideLabel } = input.dataset;
  const label = (word, more) => {
    button.textContent = word;
    button.setAttribute("aria-label", more);
  };
  label(show, showLabel);
  button.addEventListener("click", () => {
    const hidden = input.type === "password";
    input.type = hidden ? "text" : "password";
    if (hidden) label(hide, hideLabel);
    else label(show, showLabel);
  });
  input.before(row);
  row.append(input, button);
  // Never leave a shown password behind for the browser to remember as plain text.
  input.form?.addEventListener("submit", () => {
    input.type = "password";
    label(show, showLabel);
  });
}

/** Seconds to wait before each question; then every 15 seconds until two minutes have passed. */
const WAITS = [1, 2, 4, 8, 15, 15, 15, 15, 15, 15, 15];

/** Ask whether the payment has been confirmed, and change the words in place when it has. */
function watch(region) {
  let turn = 0;
  const again = () => {
    if (turn < WAITS.length) setTimeout(ask, WAITS[turn++] * 1000);
  };
  const ask = async () => {
    try {
      const answer = await fetch(region.dataset.poll, { headers: { Accept: "application/json" } });
      if (answer.ok) {
        const state = await answer.json();
        if (state.code !== region.dataset.code) show(region, state);
        if (state.final) return;
      }
    } catch (problem) {
      console.warn("The state could not be read; trying again.", problem);
    }
    again();
  };
  again();
}

/** Write a new state into the page. The focus stays where it is and nothing is loaded. */
function show(region, state) {
  const part = (name) => document.querySelector(`[data-part="${name}"]`);
  region.dataset.code = state.code;
  document.title = document.title.replace(part("h1").textContent.trim(), state.h1);
  part("h1").textContent = state.h1;
  part("body").textContent = state.body;
  const tag = part("tag");
  if (tag && state.tag) {
    tag.textContent = state.tag;
    tag.dataset.glyph = state.glyph ?? "";
    tag.className = `tag tone-${state.tone}`;
  }
  const action = part("action");
  if (action && state.action) {
    action.textContent = state.action.label;
    action.href = state.action.href;
  }
  const details = part("details");
  if (details && state.details?.length) {
    details.replaceChildren(...state.details.map(([label, value]) => row(label, value)));
    details.parentElement.hidden = false;
  }
}

function row(label, value) {
  const line = document.createElement("div");
  line.append(document.createElement("dt"), document.createElement("dd"));
  line.children[0].textContent = label;
  line.children[1].textContent = value;
  return line;
}

focusSummary();
guardForms();
document.querySelectorAll("input[data-show]").forEach(offerToShow);
document.querySelectorAll("[data-poll]").forEach(watch);
