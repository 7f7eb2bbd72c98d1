"use strict";

// The state of the page as text: all of it stands in the address, so that a drawing can be passed on.

const DIGIT = "abcd"; // of a class in a run of labels: "a12b" is twelve pixels of class 0 and one of class 1

/** Labels as runs along the rows. */
function runsOf(labels) {
  let text = "";
  for (let i = 0, end = 0; i < labels.length; i = end) {
    while (end < labels.length && labels[end] === labels[i]) end++;
    text += DIGIT[labels[i]] + (end - i > 1 ? (end - i).toString() : "");
  }
  return text;
}

/** The labels of runs; null where they do not fill the grid exactly or name a class it has not. */
function labelsOf(runs, size, classes) {
  const labels = new Uint8Array(size);
  let filled = 0;
  if (!/^([a-d]\d*)+$/.test(runs)) return null;
  for (const [, digit, count] of runs.matchAll(/([a-d])(\d*)/g)) {
    const label = DIGIT.indexOf(digit);
    const length = count === "" ? 1 : Number(count);
    if (label >= classes || length < 1 || filled + length > size) return null;
    labels.fill(label, filled, filled + length);
    filled += length;
  }
  return filled === size ? labels : null;
}

const MOST_PIXELS = 128; // of a side

/** The drawing that the text says; null where it is none. */
function readDrawing({ size, classes, spacing, runs }) {
  const [height, width] = String(size).split("x").map(Number);
  const count = Number(classes);
  const steps = String(spacing).split("x").map(Number);
  const sides = [height, width].every((side) => Number.isInteger(side) && side >= 1 && side <= MOST_PIXELS);
  if (!sides || ![2, 3, 4].includes(count)) return null;
  if (steps.length !== 2 || !steps.every((step) => step > 0 && step < 1e4)) return null;
  const labels = labelsOf(String(runs), height * width, count);
  return labels && { height, width, classes: count, labels, spacing: steps };
}

/** What readDrawing reads. */
function writeDrawing(drawing) {
  return {
    size: `${drawing.height}x${drawing.width}`,
    classes: drawing.classes,
    spacing: drawing.spacing.join("x"),
    runs: runsOf(drawing.labels),
  };
}

/**
 * Values of `known` overwritten by those of `text` that have their type: numbers, true or false, words,
 * arrays of numbers.
 */
function readSettings(known, text) {
  const result = { ...known };
  for (const [key, usual] of Object.entries(known)) {
    const given = text.get(key);
    if (given === null || given === "") continue;
    if (Array.isArray(usual)) result[key] = usual.map((value, k) => finiteOr(given.split("x")[k], value));
    else if (typeof usual === "boolean") result[key] = given === "true";
    else if (typeof usual === "number") result[key] = finiteOr(given, usual);
    else result[key] = given;
  }
  return result;
}

function finiteOr(text, value) {
  const number = Number(text);
  return text !== undefined && text !== "" && Number.isFinite(number) ? number : value;
}

/** The settings that differ from the usual ones, as entries of an address. */
function writeSettings(known, settings) {
  const text = (value) => (Array.isArray(value) ? value.join("x") : String(value));
  return Object.keys(known)
    .filter((key) => text(known[key]) !== text(settings[key]))
    .map((key) => [key, text(settings[key])]);
}

/** The whole state as a fragment: drawing, cursor, map and prediction. */
function fragmentOf(state) {
  const entries = [
    ...Object.entries(writeDrawing(state.drawing)),
    ["at", state.cursor],
    ...writeSettings(PLAIN_MAP, state.map),
    ...writeSettings(PLAIN_PREDICTION, state.prediction),
  ];
  return `#${entries.map(([key, value]) => `${key}=${value}`).join("&")}`;
}

/** The state that a fragment says, null without a drawing in it. */
function stateOf(fragment) {
  const text = new URLSearchParams(fragment.replace(/^#/, ""));
  const drawing = readDrawing(Object.fromEntries(text));
  if (drawing === null) return null;
  const cursor = Math.min(
    drawing.labels.length - 1,
    Math.max(0, Math.floor(finiteOr(text.get("at") ?? "", 0))),
  );
  return {
    drawing,
    cursor,
    map: readSettings(PLAIN_MAP, text),
    prediction: readSettings(PLAIN_PREDICTION, text),
  };
}
