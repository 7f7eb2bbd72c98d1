"use strict";

// Exact Euclidean distances on the grid, in the contract of `rwseg.maps`: from pixel centre to pixel centre,
// the image border is no boundary. A drawing is { height, width, classes, labels: Uint8Array(N), spacing:
// [rows, columns] }; values per class are Float64Array(K * N), the pixels of class 0 first.

/**
 * Squared distances along one line, in place: the lower envelope of the parabolas values[q] + (step (x -
 * q))^2 (Felzenszwalb and Huttenlocher, "Distance transforms of sampled functions", 2012). Infinite values
 * have no parabola.
 */
function transformLine(values, start, stride, count, step) {
  const at = new Float64Array(count); // where the parabolas of the envelope stand
  const height = new Float64Array(count);
  const from = new Float64Array(count); // where each becomes the lowest
  let last = -1;
  for (let q = 0; q < count; q++) {
    const value = values[start + q * stride];
    if (value === Infinity) continue;
    const x = q * step;
    let crossing = -Infinity;
    while (last >= 0) {
      crossing = (value + x * x - height[last] - at[last] * at[last]) / (2 * (x - at[last]));
      if (crossing > from[last]) break;
      last--;
      crossing = -Infinity;
    }
    last++;
    at[last] = x;
    height[last] = value;
    from[last] = crossing;
  }
  if (last < 0) return;
  for (let q = 0, k = 0; q < count; q++) {
    const x = q * step;
    while (k < last && from[k + 1] < x) k++;
    values[start + q * stride] = (x - at[k]) ** 2 + height[k];
  }
}

/** Distance of every pixel to the nearest pixel where `inside` answers true; Infinity where there is none. */
function distanceTo(drawing, inside) {
  const { height, width, labels, spacing } = drawing;
  const values = Float64Array.from(labels, (label) => (inside(label) ? 0 : Infinity));
  for (let row = 0; row < height; row++) transformLine(values, row * width, 1, width, spacing[1]);
  for (let column = 0; column < width; column++) transformLine(values, column, width, height, spacing[0]);
  return values.map(Math.sqrt);
}

/**
 * Outside distances (K, N): to the nearest pixel of each class, 0 within it; a class that is absent: 0
 * everywhere.
 */
function outsideDistances(drawing) {
  const size = drawing.labels.length;
  const result = new Float64Array(drawing.classes * size);
  for (let k = 0; k < drawing.classes; k++) {
    if (drawing.labels.includes(k))
      result.set(
        distanceTo(drawing, (label) => label === k),
        k * size,
      );
  }
  return result;
}

/** Inside distance (N): to the nearest pixel of another class; 1 everywhere where there is no other. */
function insideDistance(drawing) {
  const { labels } = drawing;
  const size = labels.length;
  const result = new Float64Array(size).fill(Infinity);
  for (let k = 0; k < drawing.classes; k++) {
    if (!labels.includes(k)) continue;
    const distance = distanceTo(drawing, (label) => label === k);
    for (let i = 0; i < size; i++) if (labels[i] !== k && distance[i] < result[i]) result[i] = distance[i];
  }
  return result.map((distance) => (distance === Infinity ? 1 : distance));
}
