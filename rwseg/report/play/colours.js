"use strict";

// Colours that colour-blind readers tell apart: Okabe and Ito's for classes and faults, purple to orange for
// signs.

const FOREGROUND = ["#e69f00", "#56b4e9", "#009e73"]; // of classes 1, 2, 3, as in the report's pictures
const FAULT = { [TRUE_DOWN]: "#0072b2", [WRONG_UP]: "#d55e00", [TRUE_DOWN | WRONG_UP]: "#cc79a7" };

const SIGNS = {
  light: ["#3f007d", "#6a51a3", "#9e9ac8", "#dadaeb", "#f7f7f7", "#fde0b8", "#fdb05a", "#d9730d", "#7f3b08"],
  dark: ["#e0d9ff", "#b3a3f5", "#7d68cc", "#453a78", "#20262d", "#5f3d17", "#b0691c", "#f0a040", "#ffdfae"],
};

const darkScreen =
  typeof matchMedia === "function" ? matchMedia("(prefers-color-scheme: dark)") : { matches: false };

function rgbOf(hex) {
  return [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
}

/** Background and foreground colours of four classes. */
function classColours() {
  return [darkScreen.matches ? "#39424c" : "#e3e7eb", ...FOREGROUND];
}

const SHADES = 512; // between the ends of the scale
const shades = {}; // [r, g, b] of each, by the scheme of the screen

/** The colour of a value from -1 (purple) over 0 to 1 (orange). */
function signColour(value) {
  const scheme = darkScreen.matches ? "dark" : "light";
  shades[scheme] ??= Array.from({ length: SHADES + 1 }, (_, i) => between(SIGNS[scheme], i / SHADES));
  return shades[scheme][Math.round(((Math.min(1, Math.max(-1, value)) + 1) / 2) * SHADES)];
}

/** The colour at a share of the way along equally far stops. */
function between(stops, share) {
  const place = share * (stops.length - 1);
  const below = Math.min(stops.length - 2, Math.floor(place));
  const [low, high] = [rgbOf(stops[below]), rgbOf(stops[below + 1])];
  return low.map((part, i) => Math.round(part + (place - below) * (high[i] - part)));
}

/** The colour scale as a CSS gradient. */
function signGradient() {
  return `linear-gradient(to right, ${SIGNS[darkScreen.matches ? "dark" : "light"].join(", ")})`;
}

/** A colour of the page, as its style sheet has it now. */
function styleColour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}
