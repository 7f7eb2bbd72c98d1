"use strict";

// All predictions that one pixel could have, and where among them the gradient has a wrong sign (Figure 2).

const TRIANGLE = Math.sqrt(3) / 2;

/**
 * The classes at the corners: two wrong ones below, the true one on top; a fourth class keeps its
 * probability.
 */
function cornersOf(classes, label, kept) {
  const wrong = Array.from({ length: classes }, (_, k) => k).filter((k) => k !== label && k !== kept);
  return [...wrong, label];
}

/** The class that a triangle of four leaves out: the wrong class with the least probability. */
function leastLikely(p, label) {
  return p.reduce(
    (least, value, k) => (k !== label && (least === label || value < p[least]) ? k : least),
    label === 0 ? 1 : 0,
  );
}

/** Softmax of all classes with weights at the corners (they sum to 1); the rest of `p` is kept. */
function predictionAt(weights, corners, p) {
  const free = corners.reduce((sum, k) => sum + p[k], 0);
  const result = p.slice();
  corners.forEach((k, i) => {
    result[k] = free * weights[i];
  });
  return result;
}

/** Share of the triangle, or of the interval, with a wrong sign, by its parts: trueDown, wrongUp and any. */
function simplexShares(z, label, corners, p, squared, steps = 60) {
  const counts = { trueDown: 0, wrongUp: 0, any: 0 };
  const centres = corners.length === 2 ? intervalCentres(4 * steps) : triangleCentres(steps);
  for (const weights of centres) {
    const fault = pixelFault(pixelGradient(predictionAt(weights, corners, p), z, squared), label, 0);
    counts.trueDown += fault & TRUE_DOWN ? 1 : 0;
    counts.wrongUp += fault & WRONG_UP ? 1 : 0;
    counts.any += fault & (TRUE_DOWN | WRONG_UP) ? 1 : 0;
  }
  for (const key of Object.keys(counts)) counts[key] /= centres.length;
  return counts;
}

function intervalCentres(steps) {
  return Array.from({ length: steps }, (_, i) => [(i + 0.5) / steps, 1 - (i + 0.5) / steps]);
}

/** Centres of the steps^2 equal triangles that a triangle is cut into. */
function triangleCentres(steps) {
  const centres = [];
  for (const [part, rows] of [
    [1 / 3, steps],
    [2 / 3, steps - 1],
  ]) {
    for (let i = 0; i < rows; i++) {
      for (let j = 0; j < rows - i; j++) {
        const [a, b] = [(i + part) / steps, (j + part) / steps];
        centres.push([a, b, 1 - a - b]);
      }
    }
  }
  return centres;
}

/** Where the softmax goes in a small step against the gradient of the logits: -(diag(p) - p p^T) g. */
function softmaxMotion(p, gradient) {
  const mean = p.reduce((sum, value, k) => sum + value * gradient[k], 0);
  return p.map((value, k) => -value * (gradient[k] - mean));
}

/** Place (x, y) of corner weights in a figure of side 1, y upwards. */
function placeOf(weights) {
  if (weights.length === 2) return [weights[1], 0];
  return [weights[1] + weights[2] / 2, weights[2] * TRIANGLE];
}

/** The corner weights at a place; they may be negative beside the figure. */
function weightsAt([x, y], corners) {
  if (corners === 2) return [1 - x, x];
  const top = y / TRIANGLE;
  return [1 - x - top / 2, x - top / 2, top];
}

/** The nearest weights within the figure, never quite 0. */
function clampedWeights(weights) {
  const positive = weights.map((weight) => Math.max(1e-4, weight));
  const sum = positive.reduce((total, weight) => total + weight, 0);
  return positive.map((weight) => weight / sum);
}
