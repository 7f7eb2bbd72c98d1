"use strict";

// What a region-wise loss makes of a prediction, pixel by pixel: Eq. 2 and its signs, as in
// `rwseg.losses.theory`. Gradients are times N K, so that they do not depend on the size of the grid.

/** Softmax (K, N) of logits (K, N). */
function softmaxOf(logits, classes) {
  const size = logits.length / classes;
  const result = new Float64Array(logits.length);
  for (let i = 0; i < size; i++) {
    let largest = -Infinity;
    for (let k = 0; k < classes; k++) largest = Math.max(largest, logits[k * size + i]);
    let sum = 0;
    for (let k = 0; k < classes; k++) sum += result[k * size + i] = Math.exp(logits[k * size + i] - largest);
    for (let k = 0; k < classes; k++) result[k * size + i] /= sum;
  }
  return result;
}

/**
 * Gradient of sum_k p_k z_k at the logits of one pixel, p_k sum_l p_l (z_k - z_l) (Eq. 2); `squared`: of
 * sum_k p_k^2 z_k, which is Eq. 2 with 2 p_k z_k in the place of z_k (Prop. 3). Written with differences,
 * so that rounding makes no wrong sign of equal weights.
 */
function pixelGradient(p, z, squared) {
  const felt = squared ? z.map((weight, k) => 2 * p[k] * weight) : z;
  const gradient = new Array(p.length);
  for (let k = 0; k < p.length; k++) {
    let pull = 0;
    for (let l = 0; l < p.length; l++) pull += p[l] * (felt[k] - felt[l]);
    gradient[k] = p[k] * pull;
  }
  return gradient;
}

/** The values of one pixel from (K, N), an array of K. */
function atPixel(values, classes, pixel) {
  const size = values.length / classes;
  return Array.from({ length: classes }, (_, k) => values[k * size + pixel]);
}

/** Eq. 2 at every pixel, (K, N). */
function gradientOf(softmax, map, classes, squared) {
  const size = softmax.length / classes;
  const result = new Float64Array(softmax.length);
  for (let pixel = 0; pixel < size; pixel++) {
    const gradient = pixelGradient(atPixel(softmax, classes, pixel), atPixel(map, classes, pixel), squared);
    for (let k = 0; k < classes; k++) result[k * size + pixel] = gradient[k];
  }
  return result;
}

/** The loss of the perfect prediction: what the true classes weigh. */
function leastLoss(map, { labels }) {
  return labels.reduce((sum, label, i) => sum + map[label * labels.length + i], 0) / map.length;
}

/** The loss, mean_{i,k} p_ik z_ik (Eq. 1 with its 1/(NK)), or of the squared softmax. */
function lossOf(softmax, map, squared) {
  let sum = 0;
  for (let j = 0; j < map.length; j++) sum += (squared ? softmax[j] ** 2 : softmax[j]) * map[j];
  return sum / map.length;
}

const TOLERANCE = 1e-4; // of the largest component: less has no sign, as in rwseg.losses.theory.signs
const TRUE_DOWN = 1;
const WRONG_UP = 2;
const NO_GRADIENT = 4;

/** The largest absolute value. */
function largestOf(values) {
  let largest = 0;
  for (let j = 0; j < values.length; j++) largest = Math.max(largest, Math.abs(values[j]));
  return largest;
}

/** What is wrong with the gradient of one pixel: TRUE_DOWN | WRONG_UP, or NO_GRADIENT. */
function pixelFault(gradient, label, floor) {
  const largest = largestOf(gradient);
  if (!(largest > floor)) return NO_GRADIENT;
  let fault = 0;
  for (let k = 0; k < gradient.length; k++) {
    const up = gradient[k] < -TOLERANCE * largest;
    if (k === label && !up) fault |= TRUE_DOWN;
    if (k !== label && up) fault |= WRONG_UP;
  }
  return fault;
}

/** Faults (N) of all pixels; one whose gradient is within 1e-4 of the largest of the grid has none. */
function faultsOf(gradient, drawing) {
  const floor = TOLERANCE * largestOf(gradient);
  return Uint8Array.from(drawing.labels, (label, pixel) =>
    pixelFault(atPixel(gradient, drawing.classes, pixel), label, floor),
  );
}

/** Whether class k of a pixel has a wrong sign, given its fault. */
function isWrongClass(gradient, classes, pixel, k, label, fault) {
  if (k === label) return (fault & TRUE_DOWN) !== 0;
  if (!(fault & WRONG_UP)) return false;
  const components = atPixel(gradient, classes, pixel);
  return components[k] < -TOLERANCE * largestOf(components);
}

/**
 * A row per class, and one of all: pixels, those with a wrong sign, their kinds, and the share of the
 * gradient.
 */
function sharesOf(gradient, faults, drawing) {
  const { classes, labels } = drawing;
  const rows = Array.from({ length: classes + 1 }, () => ({
    pixels: 0,
    wrong: 0,
    trueDown: 0,
    wrongUp: 0,
    pull: 0,
  }));
  labels.forEach((label, pixel) => {
    const pull = atPixel(gradient, classes, pixel).reduce((sum, component) => sum + Math.abs(component), 0);
    for (const row of [rows[label], rows[classes]]) {
      row.pixels += 1;
      row.pull += pull;
      row.trueDown += faults[pixel] & TRUE_DOWN ? 1 : 0;
      row.wrongUp += faults[pixel] & WRONG_UP ? 1 : 0;
      row.wrong += faults[pixel] & (TRUE_DOWN | WRONG_UP) ? 1 : 0;
    }
  });
  const total = rows[classes].pull;
  return rows.map((row) => ({ ...row, pull: total > 0 ? row.pull / total : NaN }));
}
