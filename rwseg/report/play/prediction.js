"use strict";

// Made-up predictions: logits that know the labels, shifted by some pixels, and err by smooth noise.

/** Random numbers in [0, 1) from a seed (mulberry32): the same on every machine. */
function randomFrom(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

/**
 * Standard normal noise (N), smoothed over about two pixels and brought back to a standard deviation of 1.
 */
function smoothNoise(height, width, random) {
  let values = Float64Array.from(
    { length: height * width },
    () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random()),
  );
  for (let pass = 0; pass < 2; pass++)
    values = boxMean(boxMean(values, height, width, 1, 0), height, width, 0, 1);
  const deviation = Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / values.length);
  return values.map((value) => value / (deviation || 1));
}

/** Mean of three neighbours along one direction, the edge repeated. */
function boxMean(values, height, width, down, right) {
  return values.map((_, pixel) => {
    let sum = 0;
    for (const step of [-1, 0, 1])
      sum += values[shiftedPixel(pixel, height, width, step * down, step * right)];
    return sum / 3;
  });
}

/** The pixel some rows and columns away, or the nearest to it on the grid. */
function shiftedPixel(pixel, height, width, down, right) {
  const row = Math.min(height - 1, Math.max(0, Math.floor(pixel / width) + down));
  const column = Math.min(width - 1, Math.max(0, (pixel % width) + right));
  return row * width + column;
}

/**
 * Logits (K, N): `confidence` at the class that the labels have `down` rows and `right` columns before, 0
 * at the others, plus `noise` times smooth normal noise of `seed`. Confidence and noise 0 is the uniform
 * prediction.
 */
function logitsOf(drawing, { confidence, down, right, noise, seed }) {
  const { height, width, classes, labels } = drawing;
  const size = labels.length;
  const logits = new Float64Array(classes * size);
  const random = randomFrom(seed);
  for (let k = 0; k < classes; k++) {
    if (noise > 0)
      logits.set(
        smoothNoise(height, width, random).map((value) => noise * value),
        k * size,
      );
  }
  for (let pixel = 0; pixel < size; pixel++) {
    logits[labels[shiftedPixel(pixel, height, width, -down, -right)] * size + pixel] += confidence;
  }
  return logits;
}

const PLAIN_PREDICTION = { confidence: 1.5, down: 0, right: 0, noise: 1, seed: 1 };

const PREDICTIONS = [
  { id: "uniform", label: "Uniform", values: { confidence: 0, down: 0, right: 0, noise: 0 } },
  { id: "noisy", label: "Unsure and noisy", values: { confidence: 1.5, down: 0, right: 0, noise: 1 } },
  { id: "shifted", label: "Shifted", values: { confidence: 3, down: 3, right: 4, noise: 0 } },
  { id: "right", label: "Nearly right", values: { confidence: 6, down: 0, right: 0, noise: 1 } },
];
