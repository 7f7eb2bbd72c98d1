"use strict";

// Controls and settings: each control with data-key has one setting, checkboxes, numbers and words.

function controlsOf(form) {
  return [...form.querySelectorAll("[data-key]")];
}

/** Show settings in the controls of a form; a list has one control per entry, with data-at. */
function fillForm(form, settings) {
  for (const control of controlsOf(form)) {
    const { key, at } = control.dataset;
    const value = at === undefined ? settings[key] : settings[key][Number(at)];
    if (control.type === "checkbox") control.checked = value;
    else if (control.tagName !== "SELECT" || [...control.options].some((option) => option.value === value))
      control.value = value;
  }
  showValues(form);
}

/** The settings that the controls of a form show; what a control cannot read keeps the usual value. */
function readForm(form, usual) {
  const settings = { ...usual };
  for (const [key, value] of Object.entries(usual)) if (Array.isArray(value)) settings[key] = value.slice();
  for (const control of controlsOf(form)) {
    const { key, at } = control.dataset;
    if (control.type === "checkbox") settings[key] = control.checked;
    else if (at !== undefined) settings[key][Number(at)] = numberOf(control, usual[key][Number(at)]);
    else if (typeof usual[key] === "number") settings[key] = numberOf(control, usual[key]);
    else settings[key] = control.value;
  }
  return settings;
}

/** The number in a control, within its bounds; `usual` where it holds none. */
function numberOf(control, usual) {
  const value = control.value === "" ? NaN : Number(control.value);
  if (!Number.isFinite(value)) return usual;
  const low = control.min === "" ? -Infinity : Number(control.min);
  const high = control.max === "" ? Infinity : Number(control.max);
  return Math.min(high, Math.max(low, value));
}

/** Write beside each slider what it stands at. */
function showValues(form) {
  for (const slider of form.querySelectorAll("input[type=range]")) {
    const output = form.querySelector(`output[for="${slider.id}"]`);
    const value = Number(slider.value);
    if (output) output.textContent = (value === 0 && slider.dataset.zero) || said(value);
  }
}

/**
 * Show only the controls that the map has: data-for="boundary" of that base, with data-or-mixed also of
 * one that is mixed in, data-mixing where one is, data-linear unless softmax is squared.
 */
function showOptions(form, map) {
  const mixed = isSquared(map) ? "none" : map.mix;
  for (const field of form.querySelectorAll("[data-for]")) {
    const bases = field.dataset.for.split(" ");
    field.hidden = !bases.includes(map.base) && !("orMixed" in field.dataset && bases.includes(mixed));
  }
  for (const field of form.querySelectorAll("[data-mixing]")) field.hidden = mixed === "none";
  for (const field of form.querySelectorAll("[data-linear]")) field.hidden = isSquared(map);
}

/** Radio buttons, one per entry of [value, label, swatch colour or null]; returns their inputs. */
function addChoices(parent, name, entries, chosen, change) {
  parent.replaceChildren();
  return entries.map(([value, text, colour, key]) => {
    const label = document.createElement("label");
    const input = Object.assign(document.createElement("input"), {
      type: "radio",
      name,
      value: String(value),
    });
    input.checked = value === chosen;
    input.addEventListener("change", () => change(value));
    label.append(input);
    if (colour) label.append(swatch(colour));
    label.append(text);
    if (key !== undefined) label.append(Object.assign(document.createElement("kbd"), { textContent: key }));
    parent.append(label);
    return input;
  });
}

function swatch(colour) {
  const mark = document.createElement("i");
  mark.style.background = colour;
  mark.setAttribute("aria-hidden", "true");
  return mark;
}

/** Buttons, one per entry with a label; `press` gets the entry. */
function addButtons(parent, entries, press) {
  for (const entry of entries) {
    const button = Object.assign(document.createElement("button"), {
      type: "button",
      textContent: entry.label,
    });
    button.dataset.id = entry.id;
    button.addEventListener("click", () => press(entry));
    parent.append(button);
  }
}
